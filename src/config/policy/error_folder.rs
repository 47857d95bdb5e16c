//! The folder that `errors` names: which files in it are pages.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use http::StatusCode;

use crate::config::read::{Mistake, Value};

/// A page may be this large: it is held in memory, and filled in for each answer.
const LARGEST: usize = 256 * 1024;

/// The pages of a folder, as they were when the config was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorFolder {
    pub path: PathBuf,
    pub pages: BTreeMap<PageName, String>,
}

/// What a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageName {
    /// `404.html`.
    Status(u16),
    /// `40x.html`, `50x.html`: every status of that hundred that has no page of its own.
    Class(u8),
    /// `maintenance.html`.
    Maintenance,
}

impl PageName {
    fn all() -> impl Iterator<Item = Self> {
        let known = |code: &u16| StatusCode::from_u16(*code).is_ok_and(|status| status.canonical_reason().is_some());
        let statuses = (400..600).filter(known).map(Self::Status);
        statuses.chain([Self::Class(4), Self::Class(5), Self::Maintenance])
    }

    fn file(self) -> String {
        match self {
            Self::Status(code) => format!("{code}.html"),
            Self::Class(class) => format!("{class}0x.html"),
            Self::Maintenance => "maintenance.html".to_owned(),
        }
    }
}

/// The value of `errors`.
pub(in crate::config) fn read(
    value: &Value<'_>,
    read_page: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<ErrorFolder, Mistake> {
    let path = value.path()?;
    let mut pages = BTreeMap::new();
    for name in PageName::all() {
        let file = path.join(name.file());
        match read_page(&file) {
            Ok(text) if text.len() > LARGEST => {
                let mistake = Mistake::new(format!("{} is larger than 256 KiB", file.display()));
                return Err(mistake.help("a page is held in memory: let it name its images instead of holding them"));
            }
            Ok(text) => drop(pages.insert(name, text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(Mistake::new(format!("cannot read {}: {error}", file.display()))),
        }
    }
    if pages.is_empty() {
        let mistake = Mistake::new(format!("there is no page in {}", path.display()));
        return Err(
            mistake.help("put 404.html, 40x.html, 50x.html or maintenance.html there; \"\" is the built-in page")
        );
    }
    Ok(ErrorFolder { path, pages })
}
