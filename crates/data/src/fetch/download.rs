//! One download: requests until the file is whole, each going on where the last one ended.
//!
//! The part that is there lies in the stage's resume folder, with what the server said of it. A
//! server that can't go on in the middle, or whose file changed, makes it start over.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use peregrine_pipeline::{Progress, StageContext};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ureq::http::{HeaderMap, StatusCode, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::Fetch;
use crate::manifest::{read_json, write_json};

/// What is known of the part that is there.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    /// The server's word for this state of the file: an `ETag` or a date.
    validator: Option<String>,
    /// The length of the whole file.
    total: Option<u64>,
}

/// Why a request did not get the whole file.
enum Stop {
    /// Another one may.
    Again(anyhow::Error),
    /// No other one will.
    Final(anyhow::Error),
}

fn again(error: impl Into<anyhow::Error>) -> Stop {
    Stop::Again(error.into())
}

fn fatal(error: impl Into<anyhow::Error>) -> Stop {
    Stop::Final(error.into())
}

/// The paths of the part and of what is known of it.
struct Part {
    file: PathBuf,
    known: PathBuf,
}

impl Part {
    fn length(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |metadata| metadata.len())
    }

    fn known(&self) -> Known {
        read_json(&self.known).unwrap_or_default()
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.known);
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Fetches the file; gives the path at which it lies, checked.
pub(super) fn download(fetch: &Fetch, cx: &StageContext) -> anyhow::Result<PathBuf> {
    let dir = cx.resume_dir()?;
    let part = Part { file: dir.join("part"), known: dir.join("part.json") };
    let agent = agent(fetch)?;
    let mut again = false;
    loop {
        let pieced = whole(&agent, fetch, &part, cx).with_context(|| format!("fetching `{}`", fetch.url))?;
        let found = sha256(&part.file, cx)?;
        if found == fetch.sha256.to_ascii_lowercase() {
            return Ok(part.file);
        }
        part.remove();
        // Pieces of two states of the file make a wrong whole; from the start it may be right.
        if again || !pieced {
            bail!(
                "`{}` has the SHA-256 `{found}`, not `{}` as `sha256` says; it was removed (if the file was changed \
                 on purpose and you trust it, write the new one)",
                fetch.url,
                fetch.sha256.to_ascii_lowercase()
            );
        }
        tracing::warn!(url = %fetch.url, "a download put together from parts has a wrong hash; starting over");
        again = true;
    }
}

/// Asks until the part is the whole file; gives whether it was put together from pieces.
fn whole(agent: &Agent, fetch: &Fetch, part: &Part, cx: &StageContext) -> anyhow::Result<bool> {
    let mut failed = 0;
    let mut pieced = false;
    loop {
        let before = part.length();
        pieced |= before > 0;
        let error = match request(agent, fetch, part, cx) {
            Ok(()) => return Ok(pieced),
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Again(error)) => error,
        };
        cx.check_cancelled()?;
        failed = if part.length() > before { 1 } else { failed + 1 };
        if failed >= fetch.attempts {
            let kept = part.length();
            return Err(error.context(format!(
                "given up after {failed} attempts ({kept} bytes are kept; run again to go on)"
            )));
        }
        tracing::warn!(url = %fetch.url, error = %format!("{error:#}"), "the download was cut off; trying again");
        for _ in 0..(1_u32 << failed.min(7)) {
            std::thread::sleep(Duration::from_millis(100));
            cx.check_cancelled()?;
        }
    }
}

/// One request, from where the part ends.
fn request(agent: &Agent, fetch: &Fetch, part: &Part, cx: &StageContext) -> Result<(), Stop> {
    let (have, known) = (part.length(), part.known());
    if have > 0 && known.total == Some(have) {
        return Ok(());
    }
    let mut request = agent.get(&fetch.url).header("accept-encoding", "identity");
    if have > 0 {
        request = request.header("range", format!("bytes={have}-"));
        if let Some(validator) = &known.validator {
            request = request.header("if-range", validator);
        }
    }
    let response = request.call().map_err(|error| again(anyhow!("{error}")))?;
    let (head, body) = response.into_parts();
    let begins = match head.status {
        StatusCode::OK => 0,
        StatusCode::PARTIAL_CONTENT => have,
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => {
            part.remove();
            return Err(again(anyhow!("the server can't go on at byte {have}")));
        }
        status => return Err(refusal(status)),
    };
    let total = total(&head.headers, begins).map_err(|error| {
        part.remove();
        again(error)
    })?;
    if total.is_some_and(|total| total > fetch.max_bytes) {
        part.remove();
        return Err(fatal(too_large(fetch)));
    }
    let known = Known { validator: validator(&head.headers), total };
    write_json(&part.known, &known).map_err(fatal)?;
    take(body, fetch, part, begins, total, cx)
}

fn too_large(fetch: &Fetch) -> anyhow::Error {
    anyhow!("the file has more than {} bytes (raise `max_bytes` if it may)", fetch.max_bytes)
}

/// Why a server's answer is no file.
fn refusal(status: StatusCode) -> Stop {
    let error = anyhow!("the server answers {status}");
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => again(error),
        status if status.is_server_error() => again(error),
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            fatal(error.context("there is no such file (is `url` right?)"))
        }
        _ => fatal(error),
    }
}

/// Writes an answer's body behind the first `begins` bytes of the part.
fn take(
    body: Body,
    fetch: &Fetch,
    part: &Part,
    begins: u64,
    total: Option<u64>,
    cx: &StageContext,
) -> Result<(), Stop> {
    let write =
        |error: std::io::Error| fatal(anyhow!(error).context(format!("writing `{}`", part.file.display())));
    let mut file =
        File::options().create(true).write(true).truncate(false).open(&part.file).map_err(write)?;
    file.set_len(begins).map_err(write)?;
    file.seek(SeekFrom::Start(begins)).map_err(write)?;
    let mut reader = body.into_reader();
    let mut buffer = vec![0; 1 << 16];
    let mut done = begins;
    let mut told = begins;
    loop {
        cx.check_cancelled().map_err(fatal)?;
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) => return Err(again(anyhow!("the connection broke at byte {done}: {error}"))),
        };
        file.write_all(&buffer[..read]).map_err(write)?;
        done += read as u64;
        if done > fetch.max_bytes {
            part.remove();
            return Err(fatal(too_large(fetch)));
        }
        if done - told >= 1 << 18 {
            told = done;
            (cx.progress)(Progress { done, total, unit: "bytes", note: String::new() });
        }
    }
    (cx.progress)(Progress { done, total, unit: "bytes", note: String::new() });
    match total {
        Some(total) if done < total => Err(again(anyhow!("the connection ended at byte {done} of {total}"))),
        Some(total) if done > total => {
            part.remove();
            Err(again(anyhow!("the server sent more than the {total} bytes that it announced")))
        }
        _ => Ok(()),
    }
}

/// The length of the whole file, where an answer says it.
fn total(headers: &HeaderMap, begins: u64) -> anyhow::Result<Option<u64>> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    if begins == 0 {
        return Ok(text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()));
    }
    // `bytes 100-199/200`
    let range = text(header::CONTENT_RANGE).and_then(|range| range.trim().strip_prefix("bytes "));
    let (span, total) =
        range.and_then(|range| range.split_once('/')).context("the server sends a part, but not which")?;
    let first = span.split_once('-').and_then(|(first, _)| first.trim().parse::<u64>().ok());
    ensure!(first == Some(begins), "the server sends another part than was asked for");
    Ok(total.trim().parse().ok())
}

/// What tells this state of the file from others: a strong tag, or the date.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let tag = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or_else(|| text(header::LAST_MODIFIED)).map(str::to_owned)
}

fn sha256(path: &Path, cx: &StageContext) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("reading `{}`", path.display()))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        cx.check_cancelled()?;
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hash.update(&buffer[..read]),
        }
    }
}

fn agent(fetch: &Fetch) -> anyhow::Result<Agent> {
    let stall = Some(Duration::from_secs(fetch.stall_seconds));
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // What is asked for safely is not taken from an unsafe place.
        .https_only(fetch.url.starts_with("https://"))
        .max_redirects(10)
        .user_agent(concat!("peregrine/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(stall)
        .timeout_connect(stall)
        .timeout_recv_response(stall)
        .timeout_per_read(stall)
        .timeout_per_write(stall);
    if let Some(path) = std::env::var_os("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
        config = config.tls_config(TlsConfig::builder().root_certs(roots(Path::new(&path))?).build());
    }
    Ok(config.build().new_agent())
}

/// The certificates in the file that `SSL_CERT_FILE` names.
fn roots(path: &Path) -> anyhow::Result<RootCerts> {
    let pem = std::fs::read(path)
        .with_context(|| format!("reading `{}` (the environment's SSL_CERT_FILE)", path.display()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    ensure!(
        !certificates.is_empty(),
        "`{}` (the environment's SSL_CERT_FILE) holds no certificate",
        path.display()
    );
    Ok(RootCerts::new_with_certs(&certificates))
}
