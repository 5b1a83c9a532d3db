//! `stack daemon`: the engine in the foreground. The program's entry point takes this role
//! before the command line is read; what arrives here was spelled with options.

use crate::cli::error::{Error, Result};

pub(crate) fn run() -> Result<()> {
    Err(Error::user("the engine takes no options").hint("run: stack daemon"))
}
