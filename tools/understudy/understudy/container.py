"""Writes the model as a GGUF file of the `llama` architecture."""

from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType
from sentencepiece import sentencepiece_model_pb2 as proto

from .model import Understudy
from .vocabulary import KINDS

DTYPES = {"q8_0": GGMLQuantizationType.Q8_0, "f16": GGMLQuantizationType.F16}


def write(path: Path, model: Understudy, vocabulary: proto.ModelProto, dtype: str) -> None:
    """Matrices in `dtype`, norms in f32. The embedding serves as output matrix, so there is no output.weight."""
    shape = model.shape
    partial = path.with_suffix(".partial")
    writer = gguf.GGUFWriter(partial, "llama")
    writer.add_name("Mummer's understudy")
    writer.add_description("A closed set of phrases that copies from its prompt; trained by tools/understudy/train.")
    writer.add_license("MIT")
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0 if dtype == "q8_0" else gguf.LlamaFileType.MOSTLY_F16)
    write_vocabulary(writer, vocabulary)
    for name, tensor in tensors(model):
        if tensor.ndim == 1:
            writer.add_tensor(name, tensor)
        else:
            packed = gguf.quants.quantize(tensor, DTYPES[dtype])
            writer.add_tensor(name, packed, raw_dtype=DTYPES[dtype])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: proto.ModelProto) -> None:
    kinds = {piece_kind: kind for kind, piece_kind in KINDS.items()}
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece.piece for piece in vocabulary.pieces])
    writer.add_token_scores([piece.score for piece in vocabulary.pieces])
    writer.add_token_types([kinds[piece.type] for piece in vocabulary.pieces])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)


def tensors(model: Understudy):
    """Names and values in GGUF's terms. Rows of q and k are in pairs already, as interleaved rotation wants them."""
    array = lambda parameter: parameter.detach().float().cpu().numpy().astype(numpy.float32)
    yield "token_embd.weight", array(model.embedding.weight)
    yield "output_norm.weight", array(model.norm.weight)
    for number, block in enumerate(model.blocks):
        for name, module in {
            "attn_norm": block.attention_norm,
            "attn_q": block.attention.q,
            "attn_k": block.attention.k,
            "attn_v": block.attention.v,
            "attn_output": block.attention.output,
            "ffn_norm": block.ffn_norm,
            "ffn_gate": block.gate,
            "ffn_up": block.up,
            "ffn_down": block.down,
        }.items():
            yield f"blk.{number}.{name}.weight", array(module.weight)
