//! The user's terminal while it is lent to a program in a container.

use std::io::{self, IsTerminal as _, Read as _};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc;

/// Keys go to the program as they are pressed; the old mode comes back when this is dropped.
pub(crate) struct RawMode {
    saved: Termios,
}

impl RawMode {
    /// Switches the terminal of standard input; `None` when it is none.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let saved = tcgetattr(&stdin)?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self { saved }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.saved);
    }
}

/// Returns rows and columns of the terminal; 0 where there is none.
pub(crate) fn size() -> (u16, u16) {
    tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_row, size.ws_col))
}

/// Reads standard input on a thread of its own, as it may block for ever; an empty piece is its
/// end. The thread ends with the program, or when nobody listens any more.
pub(crate) fn read_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (pieces, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 16 << 10];
        loop {
            let count = match io::stdin().lock().read(&mut buffer) {
                Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
                read => read.unwrap_or(0),
            };
            if pieces.blocking_send(buffer[..count].to_vec()).is_err() || count == 0 {
                return;
            }
        }
    });
    receiver
}
