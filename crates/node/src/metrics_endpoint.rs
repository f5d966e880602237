//! `GET /metrics` for Prometheus, on loopback alone.
//!
//! HTTP/1.1 as far as one scraper needs it, by hand: one request a connection, a head of at most [`HEAD_MAX`] bytes
//! within [`DEADLINE`], and at most [`CONNECTIONS_MAX`] connections at a time. It reads nothing but the request line.

use std::sync::Arc;
use std::time::Duration;

use runtime::{Clock, Metrics, OnError, Shutdown, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A scraper's request has a few hundred bytes.
const HEAD_MAX: usize = 8 << 10;
/// The text is in memory: a scraper that takes longer is gone.
const DEADLINE: Duration = Duration::from_secs(10);
/// One scraper, and a few people who look.
const CONNECTIONS_MAX: usize = 16;

/// Answers until the process stops.
pub async fn serve(listener: TcpListener, metrics: Metrics, clock: Clock, tasks: Tasks) {
    let shutdown: Shutdown = tasks.shutdown();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Some(Ok(place)) = shutdown.unless_cancelled(Arc::clone(&places).acquire_owned()).await else { return };
        let Some(accepted) = shutdown.unless_cancelled(listener.accept()).await else { return };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, most likely: a scrape that fails shows it.
            clock.sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (metrics, clock) = (metrics.clone(), clock.clone());
        tasks.spawn("scrape", OnError::Log, async move {
            // A scraper that goes away or is too slow is its own loss.
            let _answered = clock.timeout(DEADLINE, answer(stream, &metrics)).await;
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let (status, kind, body) = respond(&head, metrics);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

/// Status, content type and body for a request.
fn respond(head: &[u8], metrics: &Metrics) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics"), Some(b"HTTP/1.1" | b"HTTP/1.0")) => ("200 OK", OPEN_METRICS, metrics.text()),
        (Some(b"GET"), Some(_), Some(b"HTTP/1.1" | b"HTTP/1.0")) => {
            ("404 Not Found", TEXT, "only /metrics is here\n".to_owned())
        }
        (Some(_), Some(_), Some(b"HTTP/1.1" | b"HTTP/1.0")) => {
            ("405 Method Not Allowed", TEXT, "only GET is known here\n".to_owned())
        }
        _ => ("400 Bad Request", TEXT, "this is not HTTP/1.1\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(request: &[u8]) -> String {
        let metrics = Metrics::new();
        metrics.gauge("answer", "The answer").set(42);
        let tasks = Tasks::new("test");
        let listener = runtime::net::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tasks.spawn("metrics", OnError::Log, serve(listener, metrics, Clock::real(), tasks.clone()));
        let mut stream = runtime::net::connect(&address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        tasks.close(Duration::from_secs(5)).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_scraper_gets_all_metrics() {
        let answer = ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("holdfast_answer 42\n") && answer.ends_with("# EOF\n"), "{answer}");
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"\x16\x03\x01\x00\r\n\r\n", "400"),
            (b"GET /metrics\r\n\r\n", "400"),
        ] {
            let answer = ask(request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        }
    }
}
