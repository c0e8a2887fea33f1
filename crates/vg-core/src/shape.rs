//! Clip sizes and shape checks.

use serde::{Deserialize, Serialize};

/// Size of a clip; tensors are `[B, channels, frames, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSpec {
    /// Frames, T.
    pub frames: usize,
    /// Rows, H.
    pub height: usize,
    /// Columns, W.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

impl ClipSpec {
    /// Shape of `batch` clips: `[batch, channels, frames, height, width]`.
    pub fn dims(&self, batch: usize) -> [usize; 5] {
        [batch, self.channels, self.frames, self.height, self.width]
    }

    /// Shape of `n` single frames: `[n, channels, height, width]`.
    pub fn image_dims(&self, n: usize) -> [usize; 4] {
        [n, self.channels, self.height, self.width]
    }
}

impl std::fmt::Display for ClipSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { frames, height, width, channels } = self;
        write!(f, "{frames} frames of {height}x{width}x{channels}")
    }
}

/// Checks dimensions against a pattern of numbers and names, and binds the names.
///
/// `expect_dims!("video", x.dims(), [B, 3, T, 64, 64])` evaluates to `Result<()>`; every axis that is a single
/// upper-case-led identifier matches any size, every other expression must be equal to the axis.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) that names the tensor, the pattern and the shape found.
#[macro_export]
macro_rules! expect_dims {
    ($what:expr, $dims:expr, [$($axis:tt),* $(,)?]) => {{
        let dims: &[usize] = $dims;
        let expected: &[Option<usize>] = &[$($crate::expect_dims!(@axis $axis)),*];
        let fits = dims.len() == expected.len()
            && dims.iter().zip(expected).all(|(d, e)| e.is_none_or(|e| e == *d));
        if fits {
            Ok(())
        } else {
            let names = [$(stringify!($axis)),*];
            let pattern: Vec<String> = names.iter().zip(expected)
                .map(|(n, e)| e.map_or_else(|| (*n).to_owned(), |e| e.to_string())).collect();
            Err($crate::Error::shape($what, format!("[{}]", pattern.join(", ")), dims))
        }
    }};
    (@axis $n:literal) => { Some($n) };
    (@axis ($n:expr)) => { Some($n) };
    (@axis $name:ident) => { None };
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_match_any_size_and_numbers_only_themselves() {
        assert!(crate::expect_dims!("x", &[2, 3, 16], [B, 3, T]).is_ok());
        let side = 8;
        let error = crate::expect_dims!("video", &[2, 1, 16], [B, 3, (side)]).unwrap_err();
        assert_eq!(error.to_string(), "video: expected [B, 3, 8], got [2, 1, 16]");
    }
}
