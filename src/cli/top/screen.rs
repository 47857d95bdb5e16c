//! The terminal while `top` has it: raw, on its alternate screen; given back whatever ends it.

use std::io;

use ratatui::{DefaultTerminal, Frame};

/// Gives the terminal back when dropped; a panic does so by the hook that [`Screen::open`] sets.
pub struct Screen(DefaultTerminal);

impl Screen {
    pub fn open() -> io::Result<Self> {
        // Half done is undone: raw mode may be on already.
        ratatui::try_init().map(Self).inspect_err(|_| ratatui::restore())
    }

    pub fn draw(&mut self, render: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.0.draw(render).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.0.show_cursor();
        ratatui::restore();
    }
}
