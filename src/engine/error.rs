//! What can go wrong while a model is loaded, in words for the operator. Each text says what to do next.

use std::path::PathBuf;

use super::origin::Origin;

/// A model that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The path leads nowhere.
    #[error("there is no file {}: check the path, or fetch the model first", path.display())]
    NotFound {
        /// The path that was asked for.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{origin} cannot be read ({source}): check its permissions and the disk")]
    Io {
        /// Which model.
        origin: Origin,
        /// What the system said.
        source: std::io::Error,
    },
    /// The first four bytes are not `GGUF`.
    #[error("{origin} is not a GGUF file: choose a model file that ends in .gguf")]
    NotGguf {
        /// Which model.
        origin: Origin,
    },
    /// A version of the format that is not read.
    #[error(
        "{origin} is GGUF version {version}, and versions 2 and 3 can be read: convert it again, or choose another file"
    )]
    Version {
        /// Which model.
        origin: Origin,
        /// The version that it claims.
        version: u32,
    },
    /// The file ends before its content does.
    #[error("{origin} is incomplete, bytes are missing at its end ({missing} or more): download it again")]
    Truncated {
        /// Which model.
        origin: Origin,
        /// Bytes that are known to be missing.
        missing: u64,
    },
    /// The file contradicts itself.
    #[error("{origin} is damaged ({what}): download it again")]
    Damaged {
        /// Which model.
        origin: Origin,
        /// Where it does not make sense.
        what: String,
    },
    /// Another kind of model.
    #[error(
        "{origin} holds a model of architecture `{architecture}`, and only `llama` runs here: choose a Llama model in GGUF form"
    )]
    Architecture {
        /// Which model.
        origin: Origin,
        /// `general.architecture`.
        architecture: String,
    },
    /// Weights in a form that is not computed.
    #[error(
        "{origin} has weights of type {name}, which does not run here: choose a file of one of the types {supported}"
    )]
    Quantisation {
        /// Which model.
        origin: Origin,
        /// ggml's name of the type.
        name: String,
        /// The types that run.
        supported: &'static str,
    },
    /// Something in the model that this engine would leave out, so that it would talk nonsense.
    #[error("{origin} uses {what}, which does not run here: choose another file")]
    Unsupported {
        /// Which model.
        origin: Origin,
        /// What it uses.
        what: String,
    },
    /// A metadata key that must be there is not.
    #[error("{origin} lacks the metadata `{key}`: convert it again, or choose another file")]
    MissingKey {
        /// Which model.
        origin: Origin,
        /// The key.
        key: String,
    },
    /// A metadata value that makes no sense.
    #[error(
        "{origin} has a senseless value for the metadata `{key}` ({problem}): download it again, or choose another file"
    )]
    Metadata {
        /// Which model.
        origin: Origin,
        /// The key.
        key: String,
        /// Why it makes no sense.
        problem: String,
    },
    /// A tensor is missing or has another shape than the metadata say.
    #[error("{origin} has a wrong tensor `{tensor}` ({problem}): download it again, or choose another file")]
    Tensor {
        /// Which model.
        origin: Origin,
        /// Its name.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// A vocabulary of another kind.
    #[error(
        "{origin} has a vocabulary of kind `{kind}`, and only SentencePiece BPE (`llama`) is read: choose a Llama-2 model"
    )]
    Vocabulary {
        /// Which model.
        origin: Origin,
        /// `tokenizer.ggml.model`.
        kind: String,
    },
    /// A tokenizer that cannot be used.
    #[error(
        "the vocabulary in {origin} cannot be used ({problem}): choose another model, or name a tokenizer.json that fits it in the setting model.tokenizer; where that setting names this file, empty it"
    )]
    Tokenizer {
        /// Where it stands.
        origin: Origin,
        /// What is wrong.
        problem: String,
    },
    /// A context length that leaves no room for a prompt and a reply.
    #[error("a context length of {asked} tokens leaves no room for a reply: set at least 2")]
    ContextLength {
        /// What was asked for.
        asked: usize,
    },
    /// Everything was read, and still it does not compute.
    #[error("{origin} does not compute ({detail}): download it again, or choose another file")]
    Backend {
        /// Which model.
        origin: Origin,
        /// What happened.
        detail: String,
    },
    /// The program has a fault.
    #[error(
        "{origin} could not be loaded because of a fault in mummer: please report it, with the model's name"
    )]
    Fault {
        /// Which model.
        origin: Origin,
    },
    /// The graphics card that this program was built for cannot be used.
    #[error(
        "the graphics card cannot be used ({detail}): check its driver, or build Mummer without the feature cuda"
    )]
    Device {
        /// What the driver said.
        detail: String,
    },
    /// The graphics card has less memory than was thought, or others use it too.
    #[error(
        "{origin} and its cache do not fit into the memory of the graphics card: set model.cache_tokens or model.context_length lower, take a smaller model, or end other programs that use the card"
    )]
    OutOfMemory {
        /// Which model.
        origin: Origin,
    },
    /// The model and its cache need more memory than there is.
    #[error(
        "the model and a cache of {tokens} tokens take {} MB at least, and there are {} MB for them: set model.cache_tokens or model.context_length lower, or take a smaller model",
        .needed >> 20, .has >> 20
    )]
    Memory {
        /// Tokens of the cache.
        tokens: usize,
        /// Bytes that they and the weights take.
        needed: u64,
        /// Bytes of memory that they may take.
        has: u64,
    },
    /// No thread could be started.
    #[error("the engine's thread cannot be started ({source}): check the limits of this system")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}
