//! Colours by meaning; without them the text says the same.

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Palette {
    on: bool,
}

/// SGR codes that tell services apart, none of them red.
const SERVICES: [&str; 10] = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

impl Palette {
    /// Returns a palette that colours or does not.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// Tells whether it colours.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Returns text in the colour of what succeeded.
    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Returns text in the colour of failures.
    pub(crate) fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    /// Returns text in the colour of warnings.
    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Returns text in the colour of advice.
    pub(crate) fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// Returns text in the colour of what is beside the point.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Returns text in one of the colours of services.
    pub(crate) fn service(self, index: usize, text: &str) -> String {
        self.paint(SERVICES[index % SERVICES.len()], text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
