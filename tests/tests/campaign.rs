//! Campaigns as one runs them: shards as processes of their own, and the sum of their reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tests::campaign::{Case, Oracle, Report, again};

const PROOF: &str = env!("CARGO_BIN_EXE_proof");

/// A folder of this test alone, whose name has a space.
fn folder(name: &str) -> PathBuf {
    let name = format!("sysgate campaign {name} {}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

fn proof(arguments: &[&str]) -> Output {
    let output = Command::new(PROOF).args(arguments).output();
    output.expect("proof can be started")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A shard of two cases.
fn shard(seed: &str, shard: &str, out: &Path, more: &[&str]) -> Output {
    let out = out.to_str().expect("a name in UTF-8");
    let arguments = [
        "campaign", "--seed", seed, "--shard", shard, "--cases", "2", "--out", out,
    ];
    proof(&[&arguments, more].concat())
}

#[test]
fn seed_and_number_alone_decide_a_case() {
    let of_campaign = |seed| (0..4000).map(move |number| Case::of(seed, number));
    assert!(of_campaign(7).eq(of_campaign(7)));
    assert!(of_campaign(7).ne(of_campaign(8)));
    // Whatever the number of shards, each has all oracles.
    for shards in [1, 2, 3, 4, 8, 16] {
        for index in 0..shards {
            for oracle in Oracle::ALL {
                let own = of_campaign(7).skip(index).step_by(shards);
                let count = own.filter(|case| case.oracle == oracle).count();
                assert!(count > 4000 / shards / 8, "{oracle} in {index}/{shards}");
            }
        }
    }
    let seeds: std::collections::BTreeSet<u64> = of_campaign(7).map(|case| case.seed).collect();
    assert_eq!(seeds.len(), 4000);
}

#[test]
fn shards_do_together_what_one_does_and_their_reports_can_be_added() {
    let folder = folder("shards");
    let name = |index: usize| folder.join(format!("{index}.json"));
    for index in 0..3 {
        let output = shard("3", &format!("{index}/3"), &name(index), &[]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    }
    // Among the six is one of every oracle.
    let all = folder.join("all.json");
    let whole = [
        "campaign",
        "--seed",
        "3",
        "--cases",
        "6",
        "--out",
        all.to_str().expect("UTF-8"),
    ];
    assert!(proof(&whole).status.success());

    let reports = [0, 1, 2].map(|index| Report::read(&name(index)).expect("a report"));
    let one = Report::read(&all).expect("a report");
    for oracle in Oracle::ALL {
        let parts = reports
            .iter()
            .filter_map(|report| report.tallies.get(&oracle));
        let (cases, equal) = parts.fold((0, 0), |sum, tally| {
            (sum.0 + tally.cases, sum.1 + tally.equal)
        });
        let whole = one.tallies.get(&oracle).cloned().unwrap_or_default();
        assert_eq!((cases, equal), (whole.cases, whole.equal), "{oracle}");
    }
    for (index, report) in (0..).zip(&reports) {
        assert_eq!(report.next_case, 6 + index);
        assert_eq!(report.version, one.version);
    }

    let names = [0, 1, 2].map(|index| name(index).to_str().expect("UTF-8").to_string());
    let merge = |names: &[&str]| proof(&[&["merge"], names].concat());
    let merged = merge(&[&names[2], &names[0], &names[1]]);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged));
    assert!(text(&merged).contains("3 of 3 shards"), "{}", text(&merged));

    let two = merge(&[&names[1]]);
    assert_eq!(two.status.code(), Some(1));
    assert!(
        text(&two).contains("missing: shards 0, 2"),
        "{}",
        text(&two)
    );

    let refused = |names: &[&str], expected: &[&str]| {
        let output = merge(names);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        for part in expected {
            assert!(text(&output).contains(part), "{}", text(&output));
        }
    };
    refused(&[&names[0], &names[1], &names[0]], &["are both shard 0/3"]);
    let whole = all.to_str().expect("UTF-8");
    refused(
        &[&names[0], whole],
        &["all.json has a number of shards of 1"],
    );
    let changed = |from: &str, to: &str| {
        let text = fs::read_to_string(name(2)).expect("a report");
        assert!(text.contains(from), "{text}");
        let other = folder.join("other.json");
        fs::write(&other, text.replace(from, to)).expect("a file");
        other.to_str().expect("UTF-8").to_string()
    };
    let other = changed("\"seed\": 3", "\"seed\": 6");
    refused(
        &[&names[0], &other],
        &["other.json has seed 6", "0.json has 3"],
    );
    let other = changed("\"version\": \"", "\"version\": \"9.");
    refused(&[&names[0], &other], &["other.json has version \"9."]);
    let other = changed("\"format\": 1", "\"format\": 2");
    refused(&[&names[0], &other], &["other.json has format 2"]);
    let other = changed("\"differences\"", "\"other\"");
    refused(&[&other], &["other.json is no report of a campaign"]);
    refused(&["nowhere.json"], &["cannot read nowhere.json"]);
    fs::remove_dir_all(folder).expect("the test's own");
}

#[test]
fn what_a_difference_names_repeats_its_case() {
    let number = (0..).find(|number| Case::of(5, *number).oracle == Oracle::Wait);
    let number = number.expect("one in five");
    let command = again(5, number);
    let (_, arguments) = command.split_once("proof -- ").expect("the program");
    let output = proof(&arguments.split(' ').collect::<Vec<_>>());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let program = Case::of(5, number).program().expect("it runs one");
    let begin = format!("case {number}: wait, {program}\n");
    assert!(text(&output).starts_with(&begin), "{}", text(&output));
}

#[cfg(unix)]
#[test]
fn ctrl_c_lets_a_shard_and_its_models_write_a_whole_report() {
    use std::os::unix::process::CommandExt;
    let folder = folder("interrupt");
    let out = folder.join("report.json");
    let mut child = Command::new(PROOF)
        .args(["campaign", "--seed", "9", "--minutes", "10", "--out"])
        .arg(&out)
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("proof can be started");
    std::thread::sleep(Duration::from_millis(1500));
    let begin = Instant::now();
    // A terminal sends Ctrl-C to the whole process group.
    let group = format!("-{}", child.id());
    let kill = Command::new("kill").args(["-INT", "--", &group]).status();
    assert!(kill.expect("kill").success());
    let status = child.wait().expect("it ends");
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert_eq!(status.code(), Some(130));
    let report = Report::read(&out).expect("a whole report");
    assert_eq!(report.end, tests::campaign::End::Interrupted);
    let left = fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(left, 1, "nothing but the report");
    fs::remove_dir_all(folder).expect("the test's own");
}

#[test]
fn a_campaign_that_cannot_begin_says_why() {
    for (arguments, expected) in [
        (&["--seed", "1"][..], "a campaign needs an end"),
        (
            &["--seed", "1", "--shard", "4/4", "--cases", "1"],
            "expected I/N",
        ),
        (&["--seed", "1", "--minutes=-1"], "negative"),
        (
            &[
                "--seed",
                "1",
                "--cases",
                "1",
                "--out",
                "/nowhere/at/all.json",
            ],
            "no folder",
        ),
        (
            &["--seed", "1", "--case", "1", "--shard", "0/2"],
            "cannot be used with",
        ),
    ] {
        let output = proof(&[&["campaign"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains(expected), "{}", text(&output));
    }
}

/// Runs a job's script where `target/release/proof` is the program under test.
#[cfg(unix)]
fn run_job(script: &str, folder: &Path, variables: &[(&str, &str)]) -> Output {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let programs = folder.join("target/release");
    if !programs.is_dir() {
        fs::create_dir_all(&programs).expect("a folder");
        symlink(PROOF, programs.join("proof")).expect("a link");
        let srun = programs.join("srun");
        fs::write(&srun, "#!/bin/sh\nexec \"$@\"\n").expect("a file");
        fs::set_permissions(&srun, fs::Permissions::from_mode(0o755)).expect("ours");
    }
    let path = std::env::var("PATH").expect("a PATH");
    Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .envs(variables.iter().copied())
        .output()
        .expect("bash")
}

#[cfg(unix)]
#[test]
fn the_jobs_run_a_shard_each_and_leave_its_report() {
    let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs");
    let read = |name: &str| fs::read_to_string(jobs.join(name)).expect("a job");
    let slurm = read("campaign.slurm");
    let yaml = read("campaign.yaml");
    let (_, script) = yaml.split_once("            - |\n").expect("a script");
    let lines = script
        .lines()
        .take_while(|line| line.starts_with("              "));
    let kubernetes = lines.collect::<Vec<_>>().join("\n");
    for (name, script, index, count) in [
        (
            "slurm",
            slurm.as_str(),
            "SLURM_ARRAY_TASK_ID",
            "SLURM_ARRAY_TASK_COUNT",
        ),
        ("kubernetes", &kubernetes, "JOB_COMPLETION_INDEX", "SHARDS"),
    ] {
        let folder = folder(name);
        let reports = folder.join("all reports");
        fs::create_dir_all(&reports).expect("a folder");
        let mut files = Vec::new();
        for number in ["0", "1"] {
            let variables = [
                ("SEED", "3"),
                ("MINUTES", "0.005"),
                ("REPORTS", "all reports"),
                (index, number),
                (count, "2"),
            ];
            let output = run_job(script, &folder, &variables);
            assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
            files.push(reports.join(format!("{number}.json")));
        }
        let files: Vec<&str> = files
            .iter()
            .map(|file| file.to_str().expect("UTF-8"))
            .collect();
        let merged = proof(&[&["merge"], &files[..]].concat());
        assert_eq!(merged.status.code(), Some(0), "{name}: {}", text(&merged));
        assert!(
            text(&merged).contains("seed 3"),
            "{name}: {}",
            text(&merged)
        );
        fs::remove_dir_all(folder).expect("the test's own");
    }
}
