//! The pictures that members give to personas: whatever they are, what is kept is a PNG file of ours, which holds nothing but
//! the picture.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

/// Largest file of a picture, in bytes.
pub const LARGEST_PICTURE: usize = 8 << 20;

/// Most pixels of a side of a picture that is read.
const LARGEST_SIDE: u32 = 4_096;

/// Most memory that reading a picture may take.
const MEMORY: u64 = 64 << 20;

/// Pixels of a side of a picture that is kept, the first one with which it is small enough.
const SIDES: [u32; 3] = [512, 256, 128];

/// Largest picture that is kept, in bytes: what Discord takes for an emoji.
const LARGEST_KEPT: usize = 256 << 10;

/// A picture that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PortraitError {
    /// More bytes than there may be.
    #[error("it is larger than {} MB", LARGEST_PICTURE >> 20)]
    TooLarge,
    /// More pixels than there may be.
    #[error("it has more than {LARGEST_SIDE} pixels a side, or is too complicated")]
    TooManyPixels,
    /// It is no picture of a known form, or damaged.
    #[error("it is no PNG, JPEG or WebP picture, or damaged")]
    NoPicture,
}

/// Pixels of a side of the picture that stands beside what a persona says.
const SMALL_SIDE: u32 = 128;

/// The picture as it stands beside what a persona says: its middle, as a PNG file of 128 pixels a side.
///
/// # Errors
/// A [`PortraitError`] when it is no picture that can be read.
pub fn small(bytes: &[u8]) -> Result<Vec<u8>, PortraitError> {
    let square = read(bytes)?.resize_to_fill(SMALL_SIDE, SMALL_SIDE, FilterType::CatmullRom);
    encoded(&square, SMALL_SIDE).ok_or(PortraitError::NoPicture)
}

/// The picture as it is kept: a PNG file of at most 512 pixels a side.
///
/// # Errors
/// A [`PortraitError`] when it is no such picture, or one that is too large to be read.
pub fn portrait(bytes: &[u8]) -> Result<Vec<u8>, PortraitError> {
    let picture = read(bytes)?;
    let sizes = SIDES.into_iter().filter_map(|side| encoded(&picture, side));
    // The last one takes less than the limit, whatever it shows.
    sizes.into_iter().find(|bytes| bytes.len() <= LARGEST_KEPT).ok_or(PortraitError::NoPicture)
}

fn read(bytes: &[u8]) -> Result<DynamicImage, PortraitError> {
    if bytes.len() > LARGEST_PICTURE {
        return Err(PortraitError::TooLarge);
    }
    let mut reader =
        ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| PortraitError::NoPicture)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MEMORY);
    reader.limits(limits);
    reader.decode().map_err(|error| match error {
        image::ImageError::Limits(_) => PortraitError::TooManyPixels,
        _ => PortraitError::NoPicture,
    })
}

/// The picture as a PNG file of at most this size; one that is smaller stays as it is.
fn encoded(picture: &DynamicImage, side: u32) -> Option<Vec<u8>> {
    let fits = picture.width() <= side && picture.height() <= side;
    let resized = (!fits).then(|| picture.resize(side, side, FilterType::Triangle));
    let picture = resized.as_ref().unwrap_or(picture).to_rgba8();
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    /// A picture that no file format makes small.
    fn noise(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let picture = RgbImage::from_fn(width, height, |x, y| {
            let [red, green, blue, ..] =
                super::super::random(u64::from(x) << 32 | u64::from(y)).to_le_bytes();
            image::Rgb([red, green, blue])
        });
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).expect("it is written");
        bytes
    }

    fn size(bytes: &[u8]) -> (u32, u32) {
        let picture = image::load_from_memory_with_format(bytes, ImageFormat::Png).expect("a PNG file");
        (picture.width(), picture.height())
    }

    #[test]
    fn pictures_of_all_forms_become_small_ones_of_ours() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            let kept = portrait(&noise(1_000, 500, format)).expect("a picture");
            let (width, height) = size(&kept);
            assert!(kept.len() <= LARGEST_KEPT && width <= 512, "{format:?}: {width} in {}", kept.len());
            assert_eq!(width, height * 2, "{format:?}");
            assert_eq!(size(&small(&kept).expect("a picture")), (SMALL_SIDE, SMALL_SIDE), "{format:?}");
            // It is kept as it is from then on.
            assert_eq!(portrait(&kept).expect("a picture"), kept, "{format:?}");
        }
    }

    #[test]
    fn what_a_picture_carries_with_it_goes() {
        let card = r#"{"name":"Ada"}"#.to_owned();
        let carrying = super::super::picture::with_cards(&noise(8, 8, ImageFormat::Png), &[("chara", card)]);
        let carrying = carrying.expect("a picture");
        let kept = portrait(&carrying).expect("a picture");
        assert!(super::super::picture::cards(&kept).is_err());
        assert_eq!(size(&kept), (8, 8));
    }

    #[test]
    fn what_is_no_picture_or_a_bomb_is_refused() {
        for nonsense in [&b""[..], b"GIF89a", b"<svg/>", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"] {
            assert_eq!(portrait(nonsense), Err(PortraitError::NoPicture));
        }
        let mut cut_short = noise(64, 64, ImageFormat::Jpeg);
        cut_short.truncate(200);
        assert_eq!(portrait(&cut_short), Err(PortraitError::NoPicture));
        assert_eq!(
            portrait(&noise(LARGEST_SIDE + 1, 1, ImageFormat::Png)),
            Err(PortraitError::TooManyPixels)
        );
        // So many pixels of so many bytes take too much memory.
        let deep = image::ImageBuffer::<image::Rgba<u16>, _>::new(LARGEST_SIDE, LARGEST_SIDE);
        let mut bytes = Vec::new();
        deep.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).expect("it is written");
        assert_eq!(portrait(&bytes), Err(PortraitError::TooManyPixels));
        assert_eq!(portrait(&vec![0; LARGEST_PICTURE + 1]), Err(PortraitError::TooLarge));
    }
}
