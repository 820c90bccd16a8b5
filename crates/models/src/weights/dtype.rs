//! The number formats in which weight files store values, and their conversion to `f32`.

/// A number format, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    U8,
    I16,
    I32,
    I64,
    Bool,
}

impl Dtype {
    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// By the class of a torch storage: `FloatStorage`.
    pub(super) fn of_torch(storage: &str) -> Option<Self> {
        Some(match storage {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "ShortStorage" => Self::I16,
            "IntStorage" => Self::I32,
            "LongStorage" => Self::I64,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    /// By numpy's code: `f4`, with or without the byte order `<`.
    pub(super) fn of_numpy(code: &str) -> Option<Self> {
        Some(match code.trim_start_matches(['<', '|', '=']) {
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            "i1" => Self::I8,
            "u1" => Self::U8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "i8" => Self::I64,
            "b1" => Self::Bool,
            _ => return None,
        })
    }

    /// By the name in a safetensors header: `F32`.
    pub(super) fn of_safetensors(name: &str) -> Option<Self> {
        Some(match name {
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F32" => Self::F32,
            "F64" => Self::F64,
            "I8" => Self::I8,
            "U8" => Self::U8,
            "I16" => Self::I16,
            "I32" => Self::I32,
            "I64" => Self::I64,
            "BOOL" => Self::Bool,
            _ => return None,
        })
    }

    /// By the number in `TensorProto.DataType` of ONNX.
    pub(super) fn of_onnx(code: u64) -> Option<Self> {
        Some(match code {
            1 => Self::F32,
            2 => Self::U8,
            3 => Self::I8,
            5 => Self::I16,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            16 => Self::Bf16,
            _ => return None,
        })
    }

    /// One value; `bytes` are [`size`](Dtype::size) long. Rounds to the nearest `f32`.
    pub(super) fn value(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::I8, &[a]) => f32::from(i8::from_le_bytes([a])),
            (Self::U8, &[a]) => f32::from(a),
            (Self::Bool, &[a]) => f32::from(u8::from(a != 0)),
            (Self::F16, &[a, b]) => half(u16::from_le_bytes([a, b])),
            (Self::Bf16, &[a, b]) => f32::from_le_bytes([0, 0, a, b]),
            (Self::I16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])),
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::I32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32,
            (Self::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            (Self::I64, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32,
            _ => f32::NAN,
        }
    }

    /// The values in a row; what is left of an incomplete one is not looked at.
    pub(super) fn values(self, bytes: &[u8]) -> Vec<f32> {
        bytes.chunks_exact(self.size()).map(|value| self.value(value)).collect()
    }
}

/// IEEE 754 binary16, exactly.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_reads_its_ones_and_its_extremes() {
        let half = |bits: u16| Dtype::F16.value(&bits.to_le_bytes());
        // Table of IEEE 754-2008 binary16.
        assert_eq!(half(0x3c00), 1.0);
        assert_eq!(half(0xc000), -2.0);
        assert_eq!(half(0x7bff), 65504.0);
        assert_eq!(half(0x0001), 5.960_464_5e-8);
        assert_eq!(half(0x3555), 0.333_251_95);
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
        assert_eq!(Dtype::Bf16.value(&0x3f80_u16.to_le_bytes()), 1.0);
        assert_eq!(Dtype::F64.value(&0.1_f64.to_le_bytes()), 0.1);
        assert_eq!(Dtype::I64.value(&(-7_i64).to_le_bytes()), -7.0);
        assert_eq!(Dtype::Bool.values(&[0, 1, 2]), [0.0, 1.0, 1.0]);
        assert_eq!(Dtype::I8.values(&[255, 127]), [-1.0, 127.0]);
        assert_eq!(Dtype::F32.values(&[0, 0, 128, 63, 9]), [1.0]);
    }
}
