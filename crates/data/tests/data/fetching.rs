//! `fetch` against a server of our own that does what it is told.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peregrine_data::{Fetch, Files};
use peregrine_pipeline::{Artifact as _, Stage as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fixtures::{context, problems};

/// What the server does with a request: head and body, and how long it then keeps silent.
struct Answer {
    head: String,
    body: Vec<u8>,
    silent: Duration,
}

fn answer(head: &str, body: &[u8]) -> Answer {
    Answer { head: head.to_owned(), body: body.to_vec(), silent: Duration::ZERO }
}

/// The whole file, announced with `length` bytes.
fn whole(length: usize, body: &[u8]) -> Answer {
    answer(&format!("200 OK\r\nContent-Length: {length}\r\nETag: \"v1\""), body)
}

fn part(from: usize, all: &[u8]) -> Answer {
    let (length, last) = (all.len() - from, all.len() - 1);
    let head = format!(
        "206 Partial Content\r\nContent-Length: {length}\r\nContent-Range: bytes {from}-{last}/{}",
        all.len()
    );
    answer(&head, &all[from..])
}

/// A server that gives `answers` one after the other, and the requests that it got.
fn serve(answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&requests);
    std::thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            log.lock().unwrap().push(request(&mut stream));
            let _ = write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n\r\n", answer.head);
            let _ = stream.write_all(&answer.body);
            let _ = stream.flush();
            std::thread::sleep(answer.silent);
        }
    });
    (address, requests)
}

fn request(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        text.push(byte[0]);
    }
    String::from_utf8_lossy(&text).to_ascii_lowercase()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs `fetch` below `dir`.
fn run(dir: &Path, url: &str, content: &[u8], more: &Value) -> Result<Files, String> {
    let mut params = json!({ "url": url, "sha256": sha256(content), "stall_seconds": 5, "attempts": 3 });
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let stage: Fetch = serde_json::from_value(params).unwrap();
    assert_eq!(problems(&stage), [""; 0]);
    let cx = context(dir);
    let _ = std::fs::remove_dir_all(&cx.out);
    stage.run(&cx).map_err(|error| format!("{error:#}"))?;
    Ok(Files::load(&cx.out.join("files")).unwrap())
}

fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

#[test]
fn a_file_is_fetched_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (address, requests) = serve(vec![whole(3, b"abc")]);
    // The digest of "abc": FIPS 180-2, appendix B.1.
    let known = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    let files = run(
        dir.path(),
        &format!("{address}/sets/my%20pets.tar.gz?version=2"),
        b"",
        &json!({ "sha256": known }),
    )
    .unwrap();
    assert_eq!(files.files[0].name, "my pets.tar.gz");
    assert_eq!(
        (files.files[0].bytes, files.files[0].sha256.as_str()),
        (3, known.to_ascii_lowercase().as_str())
    );
    assert_eq!(std::fs::read(files.path("my pets.tar.gz").unwrap()).unwrap(), b"abc");
    assert!(requests.lock().unwrap()[0].starts_with("get /sets/my%20pets.tar.gz?version=2 "));
    // It can be saved elsewhere and come back.
    let copy = tempfile::tempdir().unwrap();
    files.save(copy.path()).unwrap();
    assert_eq!(Files::load(copy.path()).unwrap().files, files.files);
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let all = content();
    let (address, requests) = serve(vec![whole(all.len(), &all[..500_000]), part(500_000, &all)]);
    let files = run(dir.path(), &format!("{address}/x.bin"), &all, &json!({ "file_name": "y.bin" })).unwrap();
    assert_eq!(std::fs::read(files.path("y.bin").unwrap()).unwrap(), all);
    let requests = requests.lock().unwrap();
    assert!(!requests[0].contains("range:"));
    assert!(requests[1].contains("\r\nrange: bytes=500000-\r\n"), "{}", requests[1]);
    assert!(requests[1].contains("\r\nif-range: \"v1\"\r\n"), "{}", requests[1]);
}

#[test]
fn the_next_run_goes_on_too() {
    let dir = tempfile::tempdir().unwrap();
    let all = content();
    let (address, requests) = serve(vec![whole(all.len(), &all[..70_000]), part(70_000, &all)]);
    let url = format!("{address}/x.bin");
    let said = run(dir.path(), &url, &all, &json!({ "attempts": 1 })).unwrap_err();
    assert!(said.contains("70000 bytes are kept; run again to go on"), "{said}");
    run(dir.path(), &url, &all, &json!({})).unwrap();
    assert!(requests.lock().unwrap()[1].contains("range: bytes=70000-"));
}

#[test]
fn a_server_that_ignores_the_range_makes_it_start_over() {
    let dir = tempfile::tempdir().unwrap();
    let all = content();
    let (address, requests) = serve(vec![whole(all.len(), &all[..70_000]), whole(all.len(), &all)]);
    run(dir.path(), &format!("{address}/x.bin"), &all, &json!({})).unwrap();
    assert!(requests.lock().unwrap()[1].contains("range: bytes=70000-"));
    // So does one that sends another part, or none.
    for wrong in [part(60_000, &all), answer("416 Range Not Satisfiable\r\nContent-Length: 0", b"")] {
        let dir = tempfile::tempdir().unwrap();
        let (address, requests) =
            serve(vec![whole(all.len(), &all[..70_000]), wrong, whole(all.len(), &all)]);
        run(dir.path(), &format!("{address}/x.bin"), &all, &json!({})).unwrap();
        assert!(!requests.lock().unwrap()[2].contains("range:"));
    }
}

#[test]
fn a_wrong_hash_is_refused_and_the_file_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (address, _) = serve(vec![whole(4, b"evil")]);
    let said = run(dir.path(), &format!("{address}/x.bin"), b"good", &json!({})).unwrap_err();
    assert!(said.contains(&sha256(b"evil")) && said.contains(&sha256(b"good")), "{said}");
    assert!(!dir.path().join("resume/part").exists() && !dir.path().join("out/files/x.bin").exists());
}

#[test]
fn pieces_of_two_states_of_a_file_are_thrown_away_once() {
    let dir = tempfile::tempdir().unwrap();
    let all = content();
    let old = vec![7; 70_000];
    let (address, requests) = serve(vec![whole(all.len(), &old), part(70_000, &all), whole(all.len(), &all)]);
    run(dir.path(), &format!("{address}/x.bin"), &all, &json!({})).unwrap();
    assert_eq!(requests.lock().unwrap().len(), 3);
}

#[test]
fn what_the_server_refuses_is_not_asked_again_and_what_it_can_not_do_now_is() {
    let dir = tempfile::tempdir().unwrap();
    let (address, requests) = serve(vec![answer("404 Not Found\r\nContent-Length: 0", b""), whole(1, b"x")]);
    let said = run(dir.path(), &format!("{address}/x.bin"), b"x", &json!({})).unwrap_err();
    assert!(said.contains("404") && said.contains("is `url` right?"), "{said}");
    assert_eq!(requests.lock().unwrap().len(), 1);
    let (address, _) =
        serve(vec![answer("503 Service Unavailable\r\nContent-Length: 0", b""), whole(1, b"x")]);
    run(dir.path(), &format!("{address}/x.bin"), b"x", &json!({})).unwrap();
    let elsewhere = answer("302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0", b"");
    let (address, _) = serve(vec![elsewhere]);
    assert!(run(dir.path(), &format!("{address}/x.bin"), b"x", &json!({ "attempts": 1 })).is_err());
}

#[test]
fn a_silent_server_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let stalled = Answer { silent: Duration::from_secs(30), ..whole(1000, &[7; 10]) };
    let (address, _) = serve(vec![stalled]);
    let begun = std::time::Instant::now();
    let said =
        run(dir.path(), &format!("{address}/x.bin"), b"x", &json!({ "attempts": 1, "stall_seconds": 1 }))
            .unwrap_err();
    assert!(said.contains("10 bytes are kept") && said.to_lowercase().contains("timeout"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_file_larger_than_allowed_is_refused() {
    for head in ["200 OK\r\nContent-Length: 2000", "200 OK"] {
        let dir = tempfile::tempdir().unwrap();
        let (address, _) = serve(vec![answer(head, &[7; 2000])]);
        let said =
            run(dir.path(), &format!("{address}/x.bin"), b"x", &json!({ "max_bytes": 1000 })).unwrap_err();
        assert!(said.contains("more than 1000 bytes"), "{said}");
        assert!(!dir.path().join("resume/part").exists());
    }
}

#[test]
fn params_that_can_not_be_right_are_problems() {
    let check = |url: &str, sha256: &str, more: Value| {
        let mut params = json!({ "url": url, "sha256": sha256 });
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        problems(&serde_json::from_value::<Fetch>(params).unwrap()).join("\n")
    };
    let hash = "0".repeat(64);
    assert_eq!(check("https://example.org/a.zip", &hash, json!({})), "");
    for url in [
        "ftp://example.org/a.zip",
        "file:///etc/passwd",
        "example.org/a.zip",
        "https:///a.zip",
        "https://me:secret@example.org/a.zip",
        "https://example.org/a b.zip",
    ] {
        assert!(check(url, &hash, json!({})).starts_with("url: "), "{url}");
    }
    assert!(check("https://example.org/a.zip", "abc", json!({})).contains("64 hex digits are needed, not 3"));
    for url in ["https://example.org/", "https://example.org/..%2fa.zip", "https://example.org/files.json"] {
        assert!(check(url, &hash, json!({})).contains("file_name: "), "{url}");
    }
    assert!(check("https://example.org/", &hash, json!({ "file_name": "../a" })).contains("file_name: "));
    assert!(
        check("https://example.org/a", &hash, json!({ "attempts": 0 })).contains("attempts: is out of range")
    );
}

/// `FETCH_URL` and `FETCH_SHA256` name a file on a real server.
#[test]
#[ignore = "needs a network"]
fn a_real_server_is_fetched_from() {
    let [url, sha256] = ["FETCH_URL", "FETCH_SHA256"].map(|name| std::env::var(name).expect(name));
    let dir = tempfile::tempdir().unwrap();
    let files = run(dir.path(), &url, b"", &json!({ "sha256": sha256 })).unwrap();
    assert!(files.files[0].bytes > 0);
}
