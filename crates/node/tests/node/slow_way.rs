//! A way to a node that can be held up in the middle of what a client sends.

use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;

/// What still gets through once the way is held up: the head of a request, and not the whole of one of
/// [`SlowWay::LONG_REQUEST`] bytes.
const LAST_BYTES: usize = 8 << 10;

/// The bytes of one client to a node, carried by hand.
pub struct SlowWay {
    held: watch::Sender<bool>,
}

impl SlowWay {
    /// A request that is longer does not get through while the way is held up.
    pub const LONG_REQUEST: usize = 64 << 10;

    /// A way to a Unix socket, which begins at a socket beside it.
    pub fn to_socket(socket: PathBuf) -> (Self, PathBuf) {
        let begin = socket.with_extension("slow");
        let listener = tokio::net::UnixListener::bind(&begin).expect("the socket is free");
        let (held, hold) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let node = tokio::net::UnixStream::connect(&socket).await.expect("the node listens");
                tokio::spawn(carry(client, node, hold.clone()));
            }
        });
        (Self { held }, begin)
    }

    /// A way to a port, which begins at another one.
    pub async fn to_port(port: u16) -> (Self, u16) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let begin = listener.local_addr().expect("it listens").port();
        let (held, hold) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let node = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("the node listens");
                tokio::spawn(carry(client, node, hold.clone()));
            }
        });
        (Self { held }, begin)
    }

    /// Holds up what clients send, but for some last bytes.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Lets everything through again.
    pub fn release(&self) {
        self.held.send_replace(false);
    }
}

async fn carry<S>(client: S, node: S, hold: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_node, mut to_node) = tokio::io::split(node);
    let forth = async move {
        let _ended = carry_forth(&mut from_client, &mut to_node, hold).await;
        let _closed = to_node.shutdown().await;
    };
    let back = async move {
        let _ended = tokio::io::copy(&mut from_node, &mut to_client).await;
        let _closed = to_client.shutdown().await;
    };
    tokio::join!(forth, back);
}

async fn carry_forth(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut hold: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 10];
    let mut passed = 0;
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        passed = if *hold.borrow() { passed + read } else { 0 };
        if passed > LAST_BYTES {
            let _released = hold.wait_for(|held| !held).await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
