//! Character cards in pictures: text chunks `chara` (V2) and `ccv3` (V3) of a PNG file, each base64 of JSON.
//!
//! Source: PNG (third edition), chunk layout; the specifications of character cards V2 and V3.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Chunks that may hold a card, the better one first.
const KEYWORDS: [&str; 2] = ["ccv3", "chara"];

/// Whether these bytes begin like a PNG file.
pub(super) fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(SIGNATURE)
}

/// One chunk: its type, its data, and all of its bytes.
struct Chunk<'a> {
    kind: &'a [u8],
    data: &'a [u8],
    whole: &'a [u8],
}

/// The chunks of a PNG file up to its end.
fn chunks(bytes: &[u8]) -> Result<Vec<Chunk<'_>>, String> {
    let mut rest = bytes.strip_prefix(SIGNATURE).ok_or("it is no PNG file")?;
    let mut chunks = Vec::new();
    loop {
        let whole = rest;
        let cut_short = || "the picture is cut short; fetch it again".to_owned();
        let (head, after) = rest.split_at_checked(8).ok_or_else(cut_short)?;
        let (length, kind) = head.split_at(4);
        let length = length.iter().fold(0, |sum: usize, &byte| sum << 8 | usize::from(byte));
        let (data, after) = after.split_at_checked(length).ok_or_else(cut_short)?;
        let (sum, after) = after.split_at_checked(4).ok_or_else(cut_short)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(kind);
        crc.update(data);
        if crc.finalize().to_be_bytes() != sum {
            let kind = String::from_utf8_lossy(kind).into_owned();
            return Err(format!("the checksum of its chunk {kind:?} is wrong; fetch it again"));
        }
        chunks.push(Chunk { kind, data, whole: &whole[..length + 12] });
        if kind == b"IEND" {
            return Ok(chunks);
        }
        rest = after;
    }
}

/// The keyword and the text of a text chunk.
fn text<'a>(chunk: &Chunk<'a>) -> Option<(String, &'a [u8])> {
    let end = chunk.data.iter().position(|&byte| byte == 0).filter(|_| chunk.kind == b"tEXt")?;
    let keyword = String::from_utf8_lossy(&chunk.data[..end]).to_ascii_lowercase();
    Some((keyword, &chunk.data[end + 1..]))
}

/// The JSON of the cards that a picture holds, the better one first; for one that is not base64 a sentence.
///
/// # Errors
/// A sentence when the picture is cut short or damaged, and when it holds no card.
pub(super) fn cards(bytes: &[u8]) -> Result<Vec<Result<Vec<u8>, String>>, String> {
    let texts: Vec<(String, &[u8])> = chunks(bytes)?.iter().filter_map(text).collect();
    let held = KEYWORDS.iter().filter_map(|keyword| texts.iter().find(|(known, _)| known == keyword));
    let cards: Vec<_> = held
        .map(|(keyword, text)| {
            let text = std::str::from_utf8(text).ok();
            text.and_then(decoded).ok_or_else(|| format!("its chunk {keyword:?} is not base64"))
        })
        .collect();
    if cards.is_empty() {
        return Err("the picture holds no character card; export it once more with its card".to_owned());
    }
    Ok(cards)
}

/// The bytes of a text in base64, with or without padding; nothing when it is none.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    GeneralPurpose::new(&STANDARD, padding).decode(text).ok()
}

/// The picture with these cards and no others, each a keyword and JSON.
///
/// # Errors
/// A sentence when the picture is cut short or damaged, and when a card is too large.
pub(super) fn with_cards(picture: &[u8], cards: &[(&str, String)]) -> Result<Vec<u8>, String> {
    let mut bytes = SIGNATURE.to_vec();
    for chunk in chunks(picture)? {
        if chunk.kind == b"IEND" {
            for (keyword, json) in cards {
                let data =
                    [keyword.as_bytes(), &[0], general_purpose::STANDARD.encode(json).as_bytes()].concat();
                bytes.extend(u32::try_from(data.len()).map_err(|_| "the card is too large")?.to_be_bytes());
                let mut crc = crc32fast::Hasher::new();
                for part in [&b"tEXt"[..], &data] {
                    crc.update(part);
                    bytes.extend(part);
                }
                bytes.extend(crc.finalize().to_be_bytes());
            }
        }
        let holds_a_card = text(&chunk).is_some_and(|(keyword, _)| KEYWORDS.contains(&keyword.as_str()));
        if !holds_a_card {
            bytes.extend(chunk.whole);
        }
    }
    Ok(bytes)
}

/// Pixels of a side of a plain picture, and of one of its fields.
const PLAIN_SIZE: u32 = 256;
const FIELD: u32 = 32;

/// A sign of two colours, the same on both sides, which follows from the name.
///
/// # Errors
/// None that is known; the encoder says what it could not do.
pub(super) fn plain(name: &str) -> Result<Vec<u8>, String> {
    let digest = name.bytes().fold(0, |sum, byte| super::random(sum ^ u64::from(byte)));
    let [red, green, blue, signs @ ..] = digest.to_le_bytes();
    // A field on the left of each of the inner rows for each bit; the right side is its mirror.
    let inked = |x: u32, y: u32| {
        let (column, row) = (x / FIELD, y / FIELD);
        let inside = (1..7).contains(&column) && (1..7).contains(&row);
        let bit = (row - u32::from(inside)) * 3 + column.min(7 - column) - u32::from(inside);
        inside && signs[(bit / 8) as usize % signs.len()] >> (bit % 8) & 1 == 1
    };
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, PLAIN_SIZE, PLAIN_SIZE);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    // Dark enough to be seen on white, on a ground that is light.
    let (dark, light) = (|one: u8| one / 2 + 20, |one: u8| one / 8 + 216);
    let palette = [light(red), light(green), light(blue), dark(red), dark(green), dark(blue)];
    encoder.set_palette(palette.to_vec());
    let mut writer = encoder.write_header().map_err(|error| error.to_string())?;
    let bytes_of_row = |y: u32| {
        let byte = move |byte: u32| (0..8).fold(0, |bits, x| bits << 1 | u8::from(inked(byte * 8 + x, y)));
        (0..PLAIN_SIZE / 8).map(byte)
    };
    let pixels: Vec<u8> = (0..PLAIN_SIZE).flat_map(bytes_of_row).collect();
    writer.write_image_data(&pixels).map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())?;
    Ok(bytes)
}
