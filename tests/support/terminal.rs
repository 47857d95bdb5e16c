//! A terminal with a command in it: what is typed, what is on the screen, and how the command leaves it.

use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command as Plain, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use pty_process::Size;
use pty_process::blocking::{Command, Pts, Pty};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

use super::wait::{PATIENCE, wait_for};

const ROWS: u16 = 30;
const COLUMNS: u16 = 110;

/// Its command is ended when it is dropped.
pub struct Terminal {
    child: Child,
    keyboard: Arc<Pty>,
    /// Kept open: a terminal that no process has open forgets its mode.
    side: Pts,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    /// Runs `command` as a person would.
    pub fn run(command: &Plain) -> Self {
        let (pty, side) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, COLUMNS)).unwrap();
        let spawned = Command::new(command.get_program()).args(command.get_args()).env("TERM", "xterm-256color");
        let child = spawned.env_remove("NO_COLOR").spawn_borrowed(&side).unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(size(ROWS), size(COLUMNS), 0)));
        let keyboard = Arc::new(pty);
        let (output, screen) = (keyboard.clone(), parser.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reads until every other end is closed.
            while let Ok(count @ 1..) = (&*output).read(&mut bytes) {
                screen.lock().unwrap().process(&bytes[..count]);
            }
        });
        Self { child, keyboard, side, parser }
    }

    pub fn types(&self, keys: &str) {
        (&*self.keyboard).write_all(keys.as_bytes()).unwrap();
    }

    pub fn resize(&self, rows: u16, columns: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(size(rows), size(columns));
        self.keyboard.resize(Size::new(rows, columns)).unwrap();
    }

    /// The screen as text.
    pub fn screen(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    /// Waits until all of this is on the screen.
    #[track_caller]
    pub fn shows(&self, texts: &[&str]) {
        let until = std::time::Instant::now() + PATIENCE;
        while !texts.iter().all(|text| self.screen().contains(text)) {
            assert!(std::time::Instant::now() < until, "no {texts:?} on the screen:\n{}", self.screen());
            thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Whether the command shows a screen of its own (the alternate screen).
    pub fn is_taken(&self) -> bool {
        self.parser.lock().unwrap().screen().alternate_screen()
    }

    /// Whether typing shows and lines are edited, as a shell expects.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.side).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    pub fn hides_cursor(&self) -> bool {
        self.parser.lock().unwrap().screen().hide_cursor()
    }

    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal);
    }

    /// Waits for the command's end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the command's end", || self.child.try_wait().unwrap())
    }
}

fn size(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).unwrap()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
