//! The terminal while `top` runs: raw, on its alternate screen. It is always restored at the end.

use std::io;

use ratatui::{DefaultTerminal, Frame};

/// Restores the terminal when dropped. After a panic, the hook that [`Screen::open`] sets does it.
pub struct Screen(DefaultTerminal);

impl Screen {
    pub fn open() -> io::Result<Self> {
        // After an error raw mode may be on already, so it is undone.
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
