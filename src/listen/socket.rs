//! Binding, with an error that names the process that is there already.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::process::{getegid, geteuid};
use socket2::{Domain, Protocol, SockAddr, SockFilter, SockRef, Socket, Type};

use crate::types::ListenAddr;

/// Connections the kernel queues until they are accepted. nginx: `backlog`.
const BACKLOG: i32 = 4096;

/// Drops every SYN unanswered (a classic BPF program on the TCP header: byte 13, bit 1). The kernel has no other way to stop
/// the queue from filling between the last accept and the close, which resets what is queued; a client that is dropped asks again a
/// second later and is refused.
const NO_SYN: [SockFilter; 4] = [
    SockFilter::new(0x30, 0, 0, 13),
    SockFilter::new(0x45, 0, 1, 0x02),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, u32::MAX),
];

/// A bound socket that any number of workers may accept from.
#[derive(Debug)]
pub struct Listener {
    /// Unique in this process.
    pub id: usize,
    pub addr: ListenAddr,
    pub tls: bool,
    /// Where it is really bound: port 0 has become a number.
    pub local: Option<SocketAddr>,
    /// `None` once closed: a connection that still knows the listener keeps no socket open.
    socket: Mutex<Option<Bound>>,
}

#[derive(Debug)]
pub(super) enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// `cannot listen on 0.0.0.0:443: address in use by nginx (pid 812); stop it, or choose another address`.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr}: {reason}")]
pub struct BindError {
    pub addr: ListenAddr,
    pub reason: String,
}

/// Binds `addr`. `[::]` takes IPv4 too, and becomes `0.0.0.0` on a machine without IPv6.
pub fn bind(addr: &ListenAddr, tls: bool) -> Result<Listener, BindError> {
    static NEXT_ID: AtomicUsize = AtomicUsize::new(1);
    let fail = |reason| BindError { addr: addr.clone(), reason };
    let (socket, local) = match addr {
        ListenAddr::Tcp(tcp) => {
            let listener = bind_tcp_any(*tcp).map_err(|error| fail(explain_tcp(*tcp, &error)))?;
            let local = listener.local_addr().ok();
            (Bound::Tcp(listener), local)
        }
        ListenAddr::Unix(path) => (Bound::Unix(bind_unix(path, None).map_err(fail)?), None),
    };
    Ok(Listener {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        addr: addr.clone(),
        tls,
        local,
        socket: Mutex::new(Some(socket)),
    })
}

fn bind_tcp_any(addr: SocketAddr) -> io::Result<TcpListener> {
    match bind_tcp(addr) {
        Err(error) if is_without_ipv6(addr, &error) => bind_tcp((Ipv4Addr::UNSPECIFIED, addr.port()).into()),
        result => result,
    }
}

fn is_without_ipv6(addr: SocketAddr, error: &io::Error) -> bool {
    let unsupported = matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::AddrNotAvailable)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    addr.is_ipv6() && addr.ip().is_unspecified() && unsupported
}

fn bind_tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(addr))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket file left by a dead process is replaced; one that answers is not. Nothing can connect before it has its `mode`;
/// without one it has what the umask leaves.
pub fn bind_unix(path: &Path, mode: Option<u32>) -> Result<UnixListener, String> {
    if let Ok(found) = fs::symlink_metadata(path) {
        // Connecting to a plain file is refused as by a dead socket: it must not be taken for one and removed.
        if !found.file_type().is_socket() {
            return Err("something that is not a socket is in the way; choose another path".to_owned());
        }
        match UnixStream::connect(path) {
            Ok(_) => return Err("another process answers on this socket; stop it, or choose another path".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(|e| format!("a dead socket is in the way: {e}"))?;
            }
            Err(error) => return Err(format!("something is in the way: {error}")),
        }
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|e| format!("cannot make {}: {e}{}", folder.display(), folder_advice(folder, &e)))?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(|e| e.to_string())?;
    socket.set_nonblocking(true).map_err(|e| e.to_string())?;
    let address = SockAddr::unix(path).map_err(|e| e.to_string())?;
    socket.bind(&address).map_err(|e| match path.parent() {
        Some(folder) => format!("{e}{}", folder_advice(folder, &e)),
        None => e.to_string(),
    })?;
    if let Some(mode) = mode {
        let set = fs::set_permissions(path, Permissions::from_mode(mode));
        set.map_err(|error| format!("its mode cannot be set: {error}"))?;
    }
    socket.listen(BACKLOG).map_err(|e| e.to_string())?;
    Ok(socket.into())
}

/// What to do where no file can be made in `folder`.
fn folder_advice(folder: &Path, error: &io::Error) -> String {
    let (folder, uid, gid) = (folder.display(), geteuid().as_raw(), getegid().as_raw());
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => format!(
            "; in a container with a read-only root, {folder} has to be a tmpfs of the daemon's user: tmpfs: \
             [\"{folder}:uid={uid},gid={gid},mode=0750\"]"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("; {folder} has to belong to the daemon's user (uid {uid}, gid {gid}), also if it is a tmpfs")
        }
        _ => String::new(),
    }
}

fn explain_tcp(addr: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => match holder_of(addr.port()) {
            Some((pid, name)) => format!("address in use by {name} (pid {pid}); stop it, or choose another address"),
            None => "address in use by another process; stop it, or choose another address".to_owned(),
        },
        io::ErrorKind::PermissionDenied => format!(
            "no permission; ports below 1024 need root or CAP_NET_BIND_SERVICE (port {} was asked for)",
            addr.port()
        ),
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => error.to_string(),
    }
}

/// The process that listens on a TCP port, as far as /proc shows it.
fn holder_of(port: u16) -> Option<(u32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| listening_inode(table, port))?;
    let target = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut fds = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        fds.find(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.to_str() == Some(&target)))?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some((pid, name.trim().to_owned()))
    })
}

fn listening_inode(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    let wanted = format!(":{port:04X}");
    fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&wanted) && *fields.get(3)? == LISTEN;
        is_it.then(|| fields.get(9).map(|inode| (*inode).to_owned())).flatten()
    })
}

impl Listener {
    /// The TCP socket itself, for a server that runs elsewhere than on the workers.
    pub fn into_tcp(self) -> Option<TcpListener> {
        match self.socket.into_inner()? {
            Bound::Tcp(listener) => Some(listener),
            Bound::Unix(_) => None,
        }
    }

    /// Another handle on the same socket, for one worker.
    pub(super) fn share(&self) -> io::Result<Bound> {
        match &*self.lock() {
            Some(Bound::Tcp(listener)) => listener.try_clone().map(Bound::Tcp),
            Some(Bound::Unix(listener)) => listener.try_clone().map(Bound::Unix),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Accepts no new connection and gives up its own handle; the socket is closed once the workers have given up theirs.
    /// Clients in the kernel's queue stay there.
    pub fn close(&self) {
        let Some(socket) = self.lock().take() else { return };
        let refused = match &socket {
            Bound::Tcp(listener) => SockRef::from(listener).attach_filter(&NO_SYN),
            Bound::Unix(_) => Ok(()),
        };
        if let Err(error) = refused {
            tracing::debug!(addr = %self.addr, %error, "a client that connects at this moment may be reset");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bound>> {
        self.socket.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_a_live_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run").join("admin.sock");
        drop(bind_unix(&path, None).unwrap());
        let _live = bind_unix(&path, None).unwrap();
        let refused = bind_unix(&path, None).unwrap_err();
        assert!(refused.contains("another process answers"), "{refused}");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "text").unwrap();
        let refused = bind_unix(&path, None).unwrap_err();
        assert!(refused.contains("not a socket"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
    }
}
