//! Arithmetic on many numbers side by side, as processors do it, without saying which instructions.

/// Numbers side by side: as many as one of the widest registers holds, or two of the usual ones.
pub(crate) const LANES: usize = 16;

/// The exponential of a number that is not above 88, to seven digits: 2 to the whole part of its binary logarithm by
/// setting the exponent, e to the rest by its Taylor polynomial. The standard library's is not computed in lanes.
///
/// It is always inlined, so that it is compiled for the processor that its caller is compiled for.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    /// Numbers near this have no bits behind the point, and their last bits are the whole part.
    const ROUNDING: f32 = 12_582_912.0;
    /// The logarithm of 2 in two parts, of which whole multiples of the first are exact (Cody and Waite, "Software Manual
    /// for the Elementary Functions", 1980).
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // Outside of this the result would not have a full exponent.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUNDING;
    let whole = rounded - ROUNDING;
    let rest = x - whole * LN_2[0] - whole * LN_2[1];
    let sixth = 1.0 / 120.0 + rest * (1.0 / 720.0);
    let power = 1.0 + rest * (1.0 + rest * (0.5 + rest * (1.0 / 6.0 + rest * (1.0 / 24.0 + rest * sixth))));
    f32::from_bits(power.to_bits().wrapping_add(rounded.to_bits() << 23))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_seven_digits() {
        for step in 0u16..=65_535 {
            let x = 88.0 - f32::from(step) / 375.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(x < -87.0 || error < 4e-7, "{error:e} at {x}");
        }
        assert!(exp(f32::NEG_INFINITY) < 1e-37 && exp(f32::INFINITY) > 1e38 && exp(f32::NAN).is_nan());
    }
}
