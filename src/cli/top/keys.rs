//! The keyboard: what a key press means.

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::UnboundedSender;

use super::model::{Input, Key};

/// Reads on a thread of its own: a terminal is read by waiting.
pub fn read(inputs: UnboundedSender<Input>) {
    // Ends with the process, or when the terminal has gone: then nobody can press `q` either.
    std::thread::spawn(move || {
        loop {
            let Ok(event) = event::read() else {
                let _ = inputs.send(Input::Leave);
                return;
            };
            let input = match event {
                Event::Key(pressed) => meaning(pressed).map(Input::Key),
                Event::Resize(..) => Some(Input::Redraw),
                _ => None,
            };
            if input.is_some_and(|input| inputs.send(input).is_err()) {
                return;
            }
        }
    });
}

fn meaning(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(pressed.code, KeyCode::Char('c' | 'd')).then_some(Key::Break);
    }
    Some(match pressed.code {
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::Char('s') => Key::Switch,
        KeyCode::Char('b') => Key::Rollback,
        KeyCode::Char('y' | 'Y') => Key::Yes,
        KeyCode::Char('n' | 'N') => Key::No,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| meaning(KeyEvent::new(code, modifiers));
        let plain = |code| key(code, KeyModifiers::NONE);
        assert_eq!(plain(KeyCode::Char('j')), Some(Key::Down));
        assert_eq!(plain(KeyCode::Up), Some(Key::Up));
        assert_eq!(plain(KeyCode::Esc), Some(Key::Quit));
        assert_eq!(plain(KeyCode::Char('x')), None);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Break));
        assert_eq!(key(KeyCode::Char('s'), KeyModifiers::CONTROL), None);
    }
}
