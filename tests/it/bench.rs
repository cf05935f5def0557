//! `mummer bench` with a small model: what it measures is there and makes sense, whatever the numbers are.

use serde_json::Value;

use crate::cli::{mummer, run, stdout};
use crate::tiny_model::TinyModel;

#[test]
fn the_report_has_every_figure() {
    let model = TinyModel { context_length: 2_048, ..TinyModel::new(1) }.write();
    let path = model.path().to_str().expect("a path");
    let arguments =
        ["bench", "--json", "--model", path, "--prompt", "20", "--generate", "4", "--channels", "2"];
    let output = run(&[&arguments[..], &["--before", "10", "--history", "400"]].concat(), b"");
    let report: Value = serde_json::from_str(&stdout(&output)).expect("it is JSON");
    for figure in [
        "/prefill_tokens_per_second",
        "/decode_tokens_per_second",
        "/decode_tokens_per_second_total",
        "/ttft_seconds/cold",
        "/ttft_seconds/warm_turn",
        "/ttft_seconds/warm_turn_prefilled",
        "/ttft_seconds/same_persona",
        "/ttft_seconds/after_cut",
        "/inter_token_ms/alone/p50",
        "/inter_token_ms/alone/p95",
        "/prefill_rate_kept",
        "/read_bandwidth_gb_per_second/one_thread",
        "/read_bandwidth_gb_per_second/all_threads",
        "/bandwidth_share",
    ] {
        let number = report.pointer(figure).and_then(Value::as_f64);
        assert!(number.is_some_and(|number| number > 0.0), "{figure}: {number:?}");
    }
    for figure in ["/inter_token_ms/during_prefill/p50", "/inter_token_ms/during_prefill/p95"] {
        // So small a model may read the long prompt between two tokens of the other channel.
        let value = report.pointer(figure).unwrap_or_else(|| panic!("{figure} is not there"));
        assert!(value.is_null() || value.as_f64().is_some_and(|gap| gap > 0.0), "{figure}: {value}");
    }
    assert_eq!(report["same_persona_computed_tokens"], 0);
    let overhead = report["overhead_share"].as_f64().expect("a number");
    assert!((0.0..1.0).contains(&overhead), "{overhead}");
    if cfg!(target_os = "linux") {
        assert!(report["peak_memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{report}");
    }
}

#[test]
fn what_cannot_be_measured_is_a_mistake_of_the_caller() {
    let directory = tempfile::tempdir().expect("a directory");
    for arguments in [
        &["bench", "--generate", "1"][..],
        &["bench", "--history", "10"],
        &["bench", "--generate", "100000"],
        &["bench", "--channels", "0"],
        &["bench", "--prompt", "1"],
        &["bench", "--generate", "18446744073709551615"],
        &["bench", "--shape", "tinyllama-1.1b", "--generate", "100000"],
        &["bench", "--shape", "llama9-1t"],
        &["bench", "--quant", "q8_0"],
        &["--dry-run", "bench"],
    ] {
        let output = mummer(directory.path()).args(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}
