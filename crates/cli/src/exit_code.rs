//! What the process says to its caller at the end. Documented in `--help` and held by
//! `tests/errors.rs` and `tests/stories.rs`.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: a stage failed, or the machine did (no space, no permission).
    Failed,
    /// 2: the pipeline file or the command line is wrong; nothing ran.
    Wrong,
    /// 3: a gate said no: `regression` or `leak_check`.
    GateFailed,
    /// 130 or 143: stopped by SIGINT or SIGTERM.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}

impl Exit {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Wrong => 2,
            Self::GateFailed => 3,
            Self::Interrupted { signal } => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(2)),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::Wrong,
            Exit::GateFailed,
            Exit::Interrupted { signal: 2 },
            Exit::Interrupted { signal: 15 },
        ]
        .map(Exit::number);
        assert_eq!(codes, [0, 1, 2, 3, 130, 143]);
    }
}
