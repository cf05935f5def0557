//! candle-transformers' own loop on a GGUF file, as a peer to compare with: prints a JSON object with the tokens per
//! second of reading a prompt and of speaking after it. Arguments: FILE PROMPT BEFORE GENERATE.

use std::time::Instant;

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_llama::ModelWeights;

fn main() -> anyhow::Result<()> {
    // Cargo passes --bench.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [path, prompt, before, generate] = arguments.as_slice() else {
        // Asked for no file, as by a plain `cargo bench` or `cargo test`, there is nothing to measure.
        return Ok(());
    };
    let (prompt, before, generate): (u32, u32, usize) = (prompt.parse()?, before.parse()?, generate.parse()?);
    let mut file = std::fs::File::open(path)?;
    let content = Content::read(&mut file)?;
    let mut weights = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    let mut step = |ids: &[u32], position: usize| -> anyhow::Result<u32> {
        let logits = weights.forward(&Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?, position)?.squeeze(0)?;
        Ok(logits.argmax(0)?.to_scalar()?)
    };
    let text = |count: u32| (0..count).map(|at| 300 + at * 37 % 20_000).collect::<Vec<u32>>();
    // candle packs weights when so many rows come for the first time, which is not what is measured.
    step(&text(prompt), 0)?;
    let begin = Instant::now();
    step(&text(prompt), 0)?;
    let prefill = f64::from(prompt) / begin.elapsed().as_secs_f64();
    let mut token = step(&text(before), 0)?;
    let begin = Instant::now();
    for position in (before as usize..).take(generate) {
        token = step(&[token], position)?;
    }
    let decode = generate as f64 / begin.elapsed().as_secs_f64();
    #[expect(clippy::print_stdout, reason = "it is the result")]
    let () = println!("{{\"prefill\": {prefill}, \"decode\": {decode}}}");
    Ok(())
}
