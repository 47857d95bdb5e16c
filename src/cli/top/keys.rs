//! The keyboard: the meaning of each key.

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc::UnboundedSender;

use super::model::{PressedKey, TopInput};

/// Reads on a thread of its own, because reading a terminal blocks.
pub fn read(inputs: UnboundedSender<TopInput>) {
    // Ends with the process, or when the terminal is gone and no key can be pressed any more.
    std::thread::spawn(move || {
        loop {
            let Ok(event) = event::read() else {
                let _ = inputs.send(TopInput::Leave);
                return;
            };
            let input = match event {
                Event::Key(pressed) => meaning(pressed).map(TopInput::Key),
                Event::Resize(..) => Some(TopInput::Redraw),
                _ => None,
            };
            if input.is_some_and(|input| inputs.send(input).is_err()) {
                return;
            }
        }
    });
}

fn meaning(pressed: KeyEvent) -> Option<PressedKey> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(pressed.code, KeyCode::Char('c' | 'd')).then_some(PressedKey::Break);
    }
    Some(match pressed.code {
        KeyCode::Up | KeyCode::Char('k') => PressedKey::Up,
        KeyCode::Down | KeyCode::Char('j') => PressedKey::Down,
        KeyCode::Char('s') => PressedKey::Switch,
        KeyCode::Char('b') => PressedKey::Rollback,
        KeyCode::Char('y' | 'Y') => PressedKey::Yes,
        KeyCode::Char('n' | 'N') => PressedKey::No,
        KeyCode::Char('q') | KeyCode::Esc => PressedKey::Quit,
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
        assert_eq!(plain(KeyCode::Char('j')), Some(PressedKey::Down));
        assert_eq!(plain(KeyCode::Up), Some(PressedKey::Up));
        assert_eq!(plain(KeyCode::Esc), Some(PressedKey::Quit));
        assert_eq!(plain(KeyCode::Char('x')), None);
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(PressedKey::Break));
        assert_eq!(key(KeyCode::Char('s'), KeyModifiers::CONTROL), None);
    }
}
