//! The small square picture that stands beside what a persona says.

use std::io::Cursor;

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};

/// Pixels of a side.
const SIZE: u32 = 128;

/// Most pixels of a side of a picture that is read, and most memory for that, in bytes.
const LARGEST_SIDE: u32 = 8_192;
const MOST_MEMORY: u64 = 256 << 20;

/// A picture of whatever kind as a square PNG file of 128 pixels a side: its middle.
///
/// # Errors
/// A sentence when it is no picture that can be read, or too large.
pub fn portrait(picture: &[u8]) -> Result<Vec<u8>, String> {
    let unreadable = |error: image::ImageError| format!("the picture cannot be read ({error})");
    let mut reader = ImageReader::new(Cursor::new(picture))
        .with_guessed_format()
        .map_err(|error| format!("the picture cannot be read ({error})"))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    let decoded = reader.decode().map_err(unreadable)?;
    // Sixteen bits a channel, and colours that nobody sees on so few pixels, take room for nothing.
    let square = decoded.resize_to_fill(SIZE, SIZE, FilterType::CatmullRom);
    let mut bytes = Vec::new();
    DynamicImage::ImageRgba8(square.to_rgba8())
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whatever_the_picture_the_portrait_is_a_small_square() {
        for (width, height) in [(1, 1), (128, 128), (300, 100), (90, 2_000)] {
            let mut picture = Vec::new();
            let drawn = DynamicImage::new_rgb16(width, height);
            drawn.write_to(&mut Cursor::new(&mut picture), ImageFormat::Png).expect("it is written");
            let small = portrait(&picture).expect("it is read");
            let read = image::load_from_memory(&small).expect("it is a picture");
            assert_eq!((read.width(), read.height()), (SIZE, SIZE));
            // The most that Discord takes.
            assert!(small.len() <= 256 << 10);
        }
    }

    #[test]
    fn a_picture_that_is_too_large_is_refused() {
        let mut picture = Vec::new();
        let drawn = DynamicImage::new_luma8(LARGEST_SIDE + 1, 1);
        drawn.write_to(&mut Cursor::new(&mut picture), ImageFormat::Png).expect("it is written");
        assert!(portrait(&picture).expect_err("it is refused").contains("cannot be read"));
    }

    proptest! {
        #[test]
        fn what_is_no_picture_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(portrait(&bytes).is_err());
        }
    }
}
