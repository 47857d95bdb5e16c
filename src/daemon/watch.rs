//! The config file and the certificate files, watched by their folders: a rename over a file, as editors and Kubernetes do
//! it, is a change of the folder.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Quiet needed before a change is looked at: an editor writes more than once.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Looked at then, quiet or not: a log in the same folder may never rest.
const SETTLED: Duration = Duration::from_secs(1);

/// A look without an event, for file systems that send none.
const LOOK: Duration = Duration::from_secs(10);

/// Says "look" after changes have settled. Watches until dropped.
pub(super) struct FileWatch {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl FileWatch {
    /// `changes` gets one message for each burst of changes, and one every ten seconds.
    pub fn start(changes: mpsc::Sender<()>) -> Self {
        let (raw, mut events) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Our own look opens the files: what only reads is no change.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _ = raw.send(());
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!(%error, "files are not watched, only looked at")).ok();
        // Ends when the watcher or the receiver of `changes` is gone.
        tokio::task::spawn_local(async move {
            loop {
                match timeout(LOOK, events.recv()).await {
                    Ok(None) => return,
                    Ok(Some(())) => {
                        let quiet = async { while let Ok(Some(())) = timeout(DEBOUNCE, events.recv()).await {} };
                        let _ = timeout(SETTLED, quiet).await;
                    }
                    Err(_) => {}
                }
                if changes.send(()).await.is_err() {
                    return;
                }
            }
        });
        Self { watcher, watched: BTreeSet::new() }
    }

    /// Watches the folders of exactly these files, and those of what they are links to.
    pub fn follow(&mut self, files: impl Iterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeSet<PathBuf> = files.flat_map(|file| folders_of(&file)).collect();
        for gone in self.watched.difference(&wanted) {
            let _ = watcher.unwatch(gone);
        }
        for folder in wanted.difference(&self.watched) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(folder = %folder.display(), %error, "not watched");
            }
        }
        self.watched = wanted;
    }
}

fn folders_of(file: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| {
        let parent = path.parent().unwrap_or(Path::new("."));
        if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
    };
    let mut folders = vec![folder(file)];
    if let Ok(real) = file.canonicalize() {
        folders.push(folder(&real));
    }
    folders
}

/// What the files hold now: equal fingerprints, nothing to do.
pub(super) fn fingerprint<'a>(files: impl Iterator<Item = &'a Path>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}
