//! The personas that come with Mummer, embedded in the binary.

/// Id and text of each file in `personas/`, sorted by id.
pub(super) const PERSONAS: [(&str, &str); 8] = [
    ("crake", include_str!("../../personas/crake.toml")),
    ("hermes", include_str!("../../personas/hermes.toml")),
    ("keziah", include_str!("../../personas/keziah.toml")),
    ("mizzle", include_str!("../../personas/mizzle.toml")),
    ("narrator", include_str!("../../personas/narrator.toml")),
    ("pomfret", include_str!("../../personas/pomfret.toml")),
    ("tallow", include_str!("../../personas/tallow.toml")),
    ("wendrith", include_str!("../../personas/wendrith.toml")),
];
