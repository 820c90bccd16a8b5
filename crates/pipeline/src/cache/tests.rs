//! What the cache promises, tried: damage, deletion, collection. See `crash.rs` for kills and
//! several processes.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::seed::{Draws, Seed};
use crate::testkit::*;
use crate::{CancelToken, Reach, RunOptions, Selection};

/// The diamond with source files, and one output file larger than [`SMALL`].
fn bench() -> Bench {
    let mut bench = Bench::diamond();
    std::fs::create_dir(bench.path("raw")).unwrap();
    for name in ["1.txt", "2.txt"] {
        std::fs::write(bench.path("raw").join(name), name).unwrap();
    }
    let raw = bench.path("raw");
    bench.change("a", |toy| toy.source = Some(raw));
    bench.change("b", |toy| (toy.files, toy.padding) = (3, 100));
    bench.change("c", |toy| (toy.files, toy.padding) = (1, SMALL as usize + 10));
    bench
}

/// Changes the file in a random way; gives what was done.
fn damage(path: &Path, draws: &mut Draws) -> &'static str {
    let mtime = std::fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let what = match draws.below(8) {
        0..=3 if !bytes.is_empty() => {
            let at = draws.below(bytes.len());
            bytes[at] ^= 1 << draws.below(8);
            "a bit flipped"
        }
        4 if !bytes.is_empty() => {
            bytes.truncate(draws.below(bytes.len()));
            "cut short"
        }
        5 if !bytes.is_empty() => {
            bytes.clear();
            "emptied"
        }
        6 => {
            bytes.push(0);
            "a byte added"
        }
        _ => {
            std::fs::remove_file(path).unwrap();
            return "removed";
        }
    };
    // In place, with the old mtime: only the content tells.
    std::fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(mtime).unwrap();
    what
}

#[test]
fn whatever_is_damaged_is_made_again_and_never_served() {
    let bench = bench();
    bench.run();
    let clean = bench.numbers("e");
    let digests = |bench: &Bench| -> Vec<(String, String)> {
        let hashed =
            |path: PathBuf| (path.display().to_string(), crate::stat::hash_file(&path).unwrap().digest);
        bench.cache_files().into_iter().filter(|path| !path.ends_with("stage.json")).map(hashed).collect()
    };
    let all = digests(&bench);
    bench.began();
    let mut draws = Seed(5).draws();
    for round in 0..200 {
        let files = bench.cache_files();
        let victim = files[draws.below(files.len())].clone();
        let kind = victim.strip_prefix(bench.path("home/cache-v1")).unwrap().display().to_string();
        let what = damage(&victim, &mut draws);
        assert_eq!(bench.engine().verify(false).unwrap().damaged.len(), 1, "{round}: {kind} {what}");
        let summary = bench.run();
        assert_eq!((summary.ran, summary.cached), (1, 4), "{round}: {kind} {what}: {}", words(&summary));
        let reason = summary.stages.iter().find(|stage| stage.status == crate::StageStatus::Ran).unwrap();
        assert!(reason.reason.to_string().starts_with("its outputs are damaged"), "{}", reason.reason);
        assert_eq!(digests(&bench), all, "{round}: {kind} {what}");
    }
    assert_eq!(bench.began().len(), 200);
    assert_eq!(bench.run().cached, 5);
    assert_eq!(bench.numbers("e"), clean);
}

#[test]
fn an_entry_that_is_gone_is_made_again_and_nothing_else_is() {
    let bench = bench();
    let summary = bench.run();
    bench.began();
    let entry = |at: usize| {
        let stage: &crate::StageOutcome = &summary.stages[at];
        bench.path("home/cache-v1").join(&stage.kind).join(stage.fingerprint.as_ref().unwrap())
    };
    for first in 0..5 {
        for second in first..5 {
            std::fs::remove_dir_all(entry(first)).unwrap();
            let _ = std::fs::remove_dir_all(entry(second));
            let mut gone = vec![summary.stages[first].stage.clone(), summary.stages[second].stage.clone()];
            gone.dedup();
            if first == second {
                assert_eq!(bench.why(&gone[0]), ["its outputs are not in the cache any more"]);
            }
            bench.run();
            assert_eq!(bench.began(), gone);
        }
    }
}

#[test]
fn a_strange_thing_in_place_of_an_entry_is_replaced() {
    let bench = bench();
    let summary = bench.run();
    let place = bench.path("home/cache-v1/plain").join(summary.stages[1].fingerprint.as_ref().unwrap());
    let tricks: [fn(&Path); 5] = [
        |place| {
            std::fs::remove_dir_all(place).unwrap();
            std::fs::write(place, "a file").unwrap();
        },
        |place| {
            std::fs::remove_dir_all(place).unwrap();
            std::fs::create_dir(place).unwrap();
        },
        |place| {
            let file = place.join("numbers/numbers.txt");
            std::fs::rename(&file, place.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink(place.join("elsewhere"), file).unwrap();
        },
        |place| {
            std::fs::remove_file(place.join("stage.json")).unwrap();
            std::fs::create_dir(place.join("stage.json")).unwrap();
        },
        |place| std::fs::write(place.join("numbers/more.txt"), "not made by the stage").unwrap(),
    ];
    for (i, trick) in tricks.iter().enumerate() {
        trick(&place);
        assert_eq!(words(&bench.run()), "a:cached b:ran c:cached d:cached e:cached", "trick {i}");
        assert_eq!(bench.run().cached, 5, "trick {i}");
    }
    // An entry under another one's name is no entry of it.
    let other = bench.path("home/cache-v1/plain").join(summary.stages[3].fingerprint.as_ref().unwrap());
    std::fs::copy(other.join("stage.json"), place.join("stage.json")).unwrap();
    assert_eq!(words(&bench.run()), "a:cached b:ran c:cached d:cached e:cached");
}

#[test]
fn no_state_file_has_to_be_deleted_by_hand() {
    let bench = bench();
    bench.run();
    bench.run();
    let state: Vec<PathBuf> = crate::sources::list(&[bench.path("home")])
        .unwrap()
        .into_iter()
        .filter(|path| !path.starts_with(bench.path("home/cache-v1")))
        .collect();
    assert!(state.len() > 6, "{state:?}");
    let mut draws = Seed(9).draws();
    for path in &state {
        let whole = std::fs::read(path).unwrap();
        let noise: Vec<u8> = (0..200).map(|_| draws.bits() as u8).collect();
        let half = whole[..whole.len() / 2].to_vec();
        for content in [Vec::new(), noise, half] {
            std::fs::write(path, content).unwrap();
            assert_eq!(bench.run().cached, 5, "{}", path.display());
            bench.why("e");
            bench.engine().runs();
        }
    }
}

#[test]
fn collecting_follows_the_rules_and_the_record() {
    let mut bench = bench();
    bench.run();
    let two = |bench: &mut Bench, add| {
        bench.change("d", |toy| toy.add = add);
        std::thread::sleep(Duration::from_millis(1100));
        bench.run();
    };
    two(&mut bench, 2);
    two(&mut bench, 3);
    let engine = bench.engine();
    let gc = |options: &GcOptions| engine.gc(options).unwrap();
    assert_eq!(gc(&GcOptions::default()).removed.len(), 0);
    let dry = gc(&GcOptions { keep_runs: Some(1), dry_run: true, ..GcOptions::default() });
    assert_eq!(dry.removed.len(), 4);
    let report = gc(&GcOptions { keep_runs: Some(2), ..GcOptions::default() });
    let gone: Vec<_> = report.removed.iter().map(|entry| entry.stage.as_str()).collect();
    assert_eq!((gone.len(), report.kept), (2, 7));
    assert!(gone.contains(&"d") && gone.contains(&"e"));
    assert_eq!(bench.run().cached, 5, "what the last runs used is still there");
    // The least recently used go first; what the last run used stays as long as it fits.
    let bytes = report.kept_bytes;
    let report = gc(&GcOptions { max_bytes: Some(bytes - 1), ..GcOptions::default() });
    assert_eq!(report.removed.len(), 1);
    assert!(report.kept_bytes < bytes);
    assert_eq!(bench.run().cached, 5);
    let report = gc(&GcOptions { older_than: Some(Duration::from_secs(3600)), ..GcOptions::default() });
    assert!(report.removed.is_empty());
    let report = gc(&GcOptions { max_bytes: Some(0), ..GcOptions::default() });
    assert_eq!(report.kept, 0);
    assert_eq!(bench.run().ran, 5);
    assert_eq!(bench.why("a"), Vec::<String>::new());
}

#[test]
fn collecting_waits_for_runs_and_takes_nothing_from_them() {
    let mut bench = bench();
    bench.change("b", |toy| toy.takes = 1000);
    let started = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            started.store(true, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(bench.run().ran, 5);
        });
        while !started.load(std::sync::atomic::Ordering::SeqCst) || !bench.path("log").exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = bench.engine().gc(&GcOptions { max_bytes: Some(0), ..GcOptions::default() }).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
    });
    // Collecting as fast as it goes beside runs: each run gets through.
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let _ = bench.engine().gc(&GcOptions { max_bytes: Some(200), ..GcOptions::default() });
            }
        });
        let mut quick = Bench::in_dir(&bench.dir).with_diamond();
        for add in 0..20 {
            quick.change("a", |toy| toy.add = add);
            let summary = quick.run();
            assert_eq!((summary.failed, summary.skipped), (0, 0));
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
}

#[test]
fn verifying_finds_and_removes_damage() {
    let bench = bench();
    bench.run();
    let engine = bench.engine();
    let report = engine.verify(false).unwrap();
    assert_eq!((report.entries, report.damaged.len()), (5, 0));
    let mut draws = Seed(1).draws();
    for file in bench.cache_files().iter().filter(|path| path.ends_with("numbers/numbers.txt")).take(2) {
        damage(file, &mut draws);
    }
    assert_eq!(engine.verify(false).unwrap().damaged.len(), 2);
    let report = engine.verify(true).unwrap();
    assert!(report.damaged.len() == 2 && report.damaged.iter().all(|damage| damage.removed));
    assert_eq!(engine.verify(false).unwrap().entries, 3);
    assert_eq!(bench.run().ran, 2);
}

#[test]
fn a_link_in_an_output_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
    let error = entry::list_files(dir.path()).unwrap_err().to_string();
    assert_eq!(error, "`link` is neither a file nor a folder");
}

#[test]
fn a_running_stage_never_reads_what_only_the_file_system_vouches_for() {
    // A stat cache that lies: it believes a damaged large file.
    let mut bench = bench();
    bench.run();
    let large = bench
        .cache_files()
        .into_iter()
        .find(|path| path.ends_with("extra/more/0.bin") && std::fs::metadata(path).unwrap().len() > SMALL)
        .unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    let engine = bench.engine();
    let selection = Selection::Stages { names: vec!["c".into()], reach: Reach::WithUpstream };
    let options = RunOptions { selection, cancel: CancelToken::new(), ..RunOptions::default() };
    engine.run(&bench.pipeline, &options, std::sync::Arc::new(|_| {})).unwrap();
    let stat = bench.path("home/stat-v1");
    assert!(std::fs::read_to_string(&stat).unwrap().contains("extra/more/0.bin"));
    // Damage it, and write the stat cache as if the damage were older than the digest.
    let old = crate::stat::hash_file(&large).unwrap().digest;
    let mut bytes = std::fs::read(&large).unwrap();
    bytes[SMALL as usize / 2] ^= 1;
    std::fs::write(&large, bytes).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    crate::stat::forge(&stat, &large, &old);
    assert_eq!(bench.run().cached, 5, "nothing reads it, so nothing is hashed");
    bench.change("e", |toy| toy.add = 1);
    let summary = bench.run();
    assert_eq!(words(&summary), "a:cached b:cached c:ran d:cached e:ran");
}

#[test]
fn a_stage_is_offered_earlier_outputs_of_its_own_first_and_no_damaged_ones() {
    let mut bench = bench();
    bench.run();
    for add in 2..=3 {
        bench.change("d", |toy| toy.add = add);
        bench.run();
    }
    let home = bench.path("home");
    let cache = std::sync::Arc::new(Cache::new(&home, &home));
    let offered = |stage: &str| cache.earlier("plain", "numbers", stage).collect::<Vec<_>>();
    let stage_of = |dir: &Path| Entry::read(dir.parent().unwrap()).unwrap().unwrap().stage;
    let before = offered("d");
    assert!(before[..3].iter().all(|dir| stage_of(dir) == "d"), "{before:?}");
    assert!(before[3..].iter().all(|dir| stage_of(dir) != "d"));
    let file = before[0].join("numbers.txt");
    damage(&file, &mut Seed(3).draws());
    assert!(!offered("d").contains(&before[0]));
    assert_eq!(cache.earlier("nothing", "numbers", "d").count(), 0);
}
