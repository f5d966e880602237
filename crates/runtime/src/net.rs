//! Sockets.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A socket could not be opened.
#[derive(Debug, Error)]
#[error("cannot {operation} {address}: {source}")]
pub struct NetError {
    /// The address or path.
    pub address: String,
    /// What was being done.
    pub operation: NetOperation,
    /// The system's answer.
    pub source: io::Error,
}

/// What was being done with a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetOperation {
    /// Listening.
    Listen,
    /// Connecting.
    Connect,
    /// Taking a socket's name away.
    Remove,
}

impl std::fmt::Display for NetOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Listen => "listen on",
            Self::Connect => "connect to",
            Self::Remove => "remove the socket",
        })
    }
}

/// Listens on a TCP address; port 0 takes any free one.
///
/// # Errors
/// The system's, with address and operation.
#[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
pub async fn listen(address: SocketAddr) -> Result<TcpListener, NetError> {
    TcpListener::bind(address).await.map_err(|source| error(address, NetOperation::Listen, source))
}

/// Connects to `host:port`, without waiting for more bytes before it sends (`TCP_NODELAY`).
///
/// # Errors
/// The system's, with address and operation.
#[expect(clippy::disallowed_methods, reason = "this is the replacement that the ban names")]
pub async fn connect(address: &str) -> Result<TcpStream, NetError> {
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|source| error(address, NetOperation::Connect, source))?;
    stream.set_nodelay(true).map_err(|source| error(address, NetOperation::Connect, source))?;
    Ok(stream)
}

/// The longest path of a Unix socket that can be listened on, in bytes: the system takes 107 (`unix(7)`), and the socket
/// first has a name that is one longer.
pub const UNIX_PATH_MAX: usize = 106;

/// The name of a Unix socket, for as long as it is served.
#[derive(Debug)]
pub struct SocketName {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketName {
    /// Removes the name, unless another process has put its own socket there since.
    ///
    /// # Errors
    /// The system's, with path and operation.
    #[expect(clippy::disallowed_methods, reason = "a socket is no file of our data")]
    pub fn remove(&self) -> Result<(), NetError> {
        let removed = match std::fs::symlink_metadata(&self.path) {
            Ok(there) if (there.dev(), there.ino()) == (self.device, self.inode) => std::fs::remove_file(&self.path),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|source| error(self.path.display(), NetOperation::Remove, source))
    }
}

/// Listens on a Unix socket of that mode, in place of one that an earlier process left. Nobody can connect before the
/// mode is set: the socket gets its name only after.
///
/// # Errors
/// The system's, with path and operation. A socket that somebody answers at is in use.
pub fn listen_unix(path: &Path, mode: u32) -> Result<(UnixListener, SocketName), NetError> {
    bind_unix(path, mode).map_err(|source| error(path.display(), NetOperation::Listen, source))
}

/// Connects to a Unix socket.
///
/// # Errors
/// The system's, with path and operation.
pub async fn connect_unix(path: &Path) -> Result<UnixStream, NetError> {
    UnixStream::connect(path).await.map_err(|source| error(path.display(), NetOperation::Connect, source))
}

#[expect(clippy::disallowed_methods, reason = "a socket is no file of our data")]
fn bind_unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketName)> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
    }
    let unready = unready_name(path);
    match std::fs::remove_file(&unready) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&unready)?;
    std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(mode))?;
    let made = std::fs::symlink_metadata(&unready)?;
    std::fs::rename(&unready, path)?;
    Ok((listener, SocketName { path: path.to_owned(), device: made.dev(), inode: made.ino() }))
}

/// As short as it can be, because of [`UNIX_PATH_MAX`].
fn unready_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("~");
    name.into()
}

fn error(address: impl ToString, operation: NetOperation, source: io::Error) -> NetError {
    NetError { address: address.to_string(), operation, source }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn bytes_go_over_tcp() {
        let listener = listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (client, server) = tokio::join!(connect(&address), listener.accept());
        client.unwrap().write_all(b"hello").await.unwrap();
        let mut text = String::new();
        server.unwrap().0.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
    }

    #[tokio::test]
    async fn a_unix_socket_has_its_mode_and_replaces_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        drop(listen_unix(&path, 0o600).unwrap());
        let (listener, _) = listen_unix(&path, 0o600).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (client, server) = tokio::join!(connect_unix(&path), listener.accept());
        assert!(client.is_ok() && server.is_ok());
    }

    #[tokio::test]
    async fn a_socket_that_is_served_is_not_taken_over_and_not_removed_by_who_had_it_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let (first, name) = listen_unix(&path, 0o600).unwrap();
        let refused = listen_unix(&path, 0o600).unwrap_err();
        assert_eq!(refused.source.kind(), io::ErrorKind::AddrInUse, "{refused}");
        drop(first);
        let (_second, name_of_second) = listen_unix(&path, 0o600).unwrap();
        name.remove().unwrap();
        assert!(path.exists(), "it is another's by now");
        name_of_second.remove().unwrap();
        assert!(!path.exists());
        name_of_second.remove().unwrap();
    }

    #[tokio::test]
    async fn the_longest_path_can_be_listened_on_and_a_longer_one_not() {
        let folder = tempfile::tempdir().unwrap();
        let length = folder.path().as_os_str().len() + 1;
        let path = |total: usize| folder.path().join("s".repeat(total - length));
        assert!(listen_unix(&path(UNIX_PATH_MAX), 0o600).is_ok());
        assert!(listen_unix(&path(UNIX_PATH_MAX + 1), 0o600).is_err());
    }

    #[tokio::test]
    async fn errors_name_the_address() {
        let error = connect_unix(Path::new("/nowhere/a.sock")).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot connect to /nowhere/a.sock: "), "{error}");
    }
}
