//! Ctrl-C and SIGTERM: the first asks the run to stop, the second ends the process.
//!
//! What was finished is in the cache already, and commits to it are atomic, so ending the process
//! at any moment damages nothing; asking first lets a training save its position.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use peregrine_pipeline::CancelToken;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit_code::Exit;
use crate::render::{live, out};

/// How long stages have to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Listens for signals from now on.
#[derive(Debug, Clone)]
pub struct Interrupt {
    signal: Arc<AtomicI32>,
}

impl Interrupt {
    /// Cancels `token` at the first signal and exits at the second, or when the grace is over.
    ///
    /// # Errors
    /// When the operating system refuses to deliver signals.
    pub fn listen(token: CancelToken) -> std::io::Result<Self> {
        let signal = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&signal);
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in signals.forever() {
                if seen.swap(number, Ordering::AcqRel) != 0 {
                    leave(number);
                }
                token.cancel();
                live::above_bars(
                    "stopping; what is finished stays in the cache (Ctrl-C again stops at once)\n",
                );
                std::thread::spawn(move || {
                    std::thread::sleep(GRACE);
                    leave(number);
                });
            }
        })?;
        Ok(Self { signal })
    }

    /// How the process should exit because of a signal, if one came.
    pub fn exit(&self) -> Option<Exit> {
        match self.signal.load(Ordering::Acquire) {
            0 => None,
            signal => Some(Exit::Interrupted { signal }),
        }
    }
}

/// Ends the process without waiting for anything, and without the libraries' own endings: LibTorch's would take
/// away what its threads still compute with. Every line that was written is out.
fn leave(signal: i32) -> ! {
    live::clear();
    out::complain(&format!("stopped by signal {signal}"));
    signal_hook::low_level::exit(i32::from(Exit::Interrupted { signal }.number()))
}
