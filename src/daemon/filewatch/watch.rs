//! The config file and the files that it names, watched by their folders: editors and Kubernetes rename a new file, or a
//! link, over the old one, and that is a change of the folder.
//!
//! A busy folder costs nothing. The kernel reports closes after writing, moves, creations and deletions alone, never an open
//! or a read, and the watcher's thread drops the names of all other files (decision 0007). What the change means is decided
//! in the reload, from the content of the files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{Config, Event, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

/// Quiet needed before a change is looked at: an editor writes more than once.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// How long changes are waited out at most: a file that is written all the time never gets quiet.
const AT_MOST: Duration = Duration::from_secs(1);

/// A look without an event, for file systems that send none.
const LOOK: Duration = Duration::from_secs(10);

/// Links followed on the way to one file. The kernel gives up after as many.
const MAX_LINKS: u32 = 40;

/// Says "look" after changes have settled. Watches until dropped.
pub struct FileWatch {
    watcher: Option<RecommendedWatcher>,
    /// With device and inode: a folder that another was renamed over needs a new watch.
    folders: BTreeMap<PathBuf, Option<(u64, u64)>>,
    places: Arc<ArcSwap<BTreeSet<PathBuf>>>,
    wake: mpsc::WeakSender<()>,
    /// Where nothing can be watched, this alone keeps the looks without an event going.
    _unwatched: Option<mpsc::Sender<()>>,
}

impl FileWatch {
    /// Watches nothing yet. Its events are for [`settle`]; their channel closes with the thread that watches, if there is one.
    pub fn new() -> (Self, mpsc::Receiver<()>) {
        let (wake, events) = mpsc::channel(1);
        let places: Arc<ArcSwap<BTreeSet<PathBuf>>> = Arc::default();
        let (watched, waking) = (places.clone(), wake.clone());
        let kinds =
            EventKindMask::ACCESS_CLOSE | EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME;
        let on_event = move |event: notify::Result<Event>| {
            if concerns(&event, &watched.load()) {
                // A full channel is a wake that is still to be seen.
                let _ = waking.try_send(());
            }
        };
        let watcher = RecommendedWatcher::new(on_event, Config::default().with_event_kinds(kinds));
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "files are not watched, only looked at")).ok();
        let unwatched = watcher.is_none().then(|| wake.clone());
        (Self { watcher, folders: BTreeMap::new(), places, wake: wake.downgrade(), _unwatched: unwatched }, events)
    }

    /// Watches exactly these files, and the links that lead to them. Touches the disk.
    pub fn follow(&mut self, files: impl Iterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut links = Links::default();
        let mut places: BTreeSet<PathBuf> = files.flat_map(|file| links.places_of(&file)).collect();
        let folders = places.iter().filter_map(|place| place.parent());
        let folders: BTreeMap<_, _> = folders.map(|folder| (folder.to_owned(), identity(folder))).collect();
        // The watch of a folder ends when it is deleted.
        let alive: BTreeSet<PathBuf> = watcher.watched_paths().into_iter().flatten().map(|(path, _)| path).collect();
        let is_kept = |folder: &PathBuf| alive.contains(folder) && folders.get(folder) == self.folders.get(folder);
        for gone in alive.iter().filter(|folder| !is_kept(folder)) {
            let _ = watcher.unwatch(gone);
        }
        for folder in folders.keys().filter(|folder| !is_kept(folder)) {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                // Its files were read before it was watched, and may have changed in between.
                Ok(()) => drop(self.wake.upgrade().map(|wake| wake.try_send(()))),
                Err(error) => tracing::debug!(folder = %folder.display(), %error, "not watched"),
            }
        }
        places.extend(folders.keys().cloned());
        self.places.store(Arc::new(places));
        self.folders = folders;
    }
}

/// Passes one message on for each burst of `events`, and one for each time without any: `changes` gets one every ten seconds at
/// least. Ends when the watcher is gone.
pub async fn settle(mut events: mpsc::Receiver<()>, changes: mpsc::Sender<()>) -> String {
    loop {
        match tokio::time::timeout(LOOK, events.recv()).await {
            Ok(None) => return "the thread that watches files has ended".to_owned(),
            Ok(Some(())) => {
                let quiet = async { while let Ok(Some(())) = tokio::time::timeout(DEBOUNCE, events.recv()).await {} };
                let _ = tokio::time::timeout(AT_MOST, quiet).await;
            }
            Err(_) => {}
        }
        if changes.send(()).await.is_err() {
            // The daemon is stopping: nothing takes changes up any more.
            return std::future::pending().await;
        }
    }
}

/// Whether an event may have changed one of the places. Runs on the watcher's thread.
fn concerns(event: &notify::Result<Event>, places: &BTreeSet<PathBuf>) -> bool {
    match event {
        Ok(event) => event.need_rescan() || event.paths.iter().any(|path| places.contains(path)),
        // Something was missed.
        Err(_) => true,
    }
}

/// What has been read of links so far: many files share the way to them.
#[derive(Default)]
struct Links(HashMap<PathBuf, Step>);

/// What a name on the way to a file is.
enum Step {
    Link(PathBuf),
    Plain,
    Missing,
}

impl Links {
    /// The places where a change may give `file` another content: its own, that of each link on the way to it, and that of a
    /// folder on the way that is not there.
    fn places_of(&mut self, file: &Path) -> BTreeSet<PathBuf> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let mut places = BTreeSet::new();
        let mut at = PathBuf::from("/");
        let mut rest = reversed(&file);
        let mut followed = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                at.pop();
                continue;
            }
            let place = at.join(&name);
            match self.step(&place) {
                Step::Link(target) if followed < MAX_LINKS => {
                    followed += 1;
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    rest.extend(reversed(target));
                    places.insert(place);
                }
                step => {
                    if rest.is_empty() || matches!(step, Step::Missing) {
                        places.insert(place.clone());
                    }
                    at = place;
                }
            }
        }
        places
    }

    fn step(&mut self, place: &Path) -> &Step {
        if !self.0.contains_key(place) {
            let step = match fs::read_link(place) {
                Ok(target) => Step::Link(target),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Step::Missing,
                Err(_) => Step::Plain,
            };
            self.0.insert(place.to_owned(), step);
        }
        self.0.get(place).unwrap_or(&Step::Missing)
    }
}

/// The names in a path, the last one first; `..` stays.
fn reversed(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

/// Device and inode; `None`: it is not there.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn places_of(file: &Path) -> BTreeSet<PathBuf> {
        Links::default().places_of(file)
    }

    #[test]
    fn each_link_on_the_way_to_a_file_is_a_place_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("first")).unwrap();
        fs::write(root.join("first/edge.toml"), "").unwrap();
        symlink("first", root.join("data")).unwrap();
        symlink("data/edge.toml", root.join("edge.toml")).unwrap();
        symlink(root.join("edge.toml"), root.join("other.toml")).unwrap();
        let expected = ["other.toml", "edge.toml", "data", "first/edge.toml"].map(|name| root.join(name));
        assert_eq!(places_of(&root.join("other.toml")), expected.into());
    }

    #[test]
    fn a_file_that_is_not_there_has_its_own_place_and_a_ring_of_links_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let missing = root.join("nowhere/edge.toml");
        assert_eq!(places_of(&missing), BTreeSet::from([root.join("nowhere"), missing.clone()]), "its folder may come");
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        assert_eq!(places_of(&root.join("a")), BTreeSet::from([root.join("a"), root.join("b")]));
    }

    #[test]
    fn an_event_of_another_name_concerns_nobody() {
        let places = BTreeSet::from([PathBuf::from("/etc/edge.toml")]);
        let event = |path: &str| Ok(Event::default().add_path(path.into()));
        assert!(concerns(&event("/etc/edge.toml"), &places));
        assert!(!concerns(&event("/etc/access.log"), &places));
        assert!(concerns(&Ok(Event::default().set_flag(notify::event::Flag::Rescan)), &places));
    }
}
