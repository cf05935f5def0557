"""The vocabulary: SentencePiece BPE with byte fallback, trained on scenes and kept in the GGUF file."""

import io
import random
from pathlib import Path

import sentencepiece
from gguf import GGUFReader, TokenType
from sentencepiece import sentencepiece_model_pb2 as proto

BOS, EOS = 1, 2
# What GGUF calls SentencePiece's kinds of pieces.
KINDS = {
    TokenType.NORMAL: proto.ModelProto.SentencePiece.NORMAL,
    TokenType.UNKNOWN: proto.ModelProto.SentencePiece.UNKNOWN,
    TokenType.CONTROL: proto.ModelProto.SentencePiece.CONTROL,
    TokenType.BYTE: proto.ModelProto.SentencePiece.BYTE,
}


def train(texts: list[str], size: int) -> proto.ModelProto:
    """A vocabulary of `size` pieces. Line breaks and runs of spaces stay as they are written."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=size,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        character_coverage=1.0,
        max_sentencepiece_length=16,
        num_threads=1,
        minloglevel=1,
    )
    return proto.ModelProto.FromString(model.getvalue())


def read(path: Path) -> proto.ModelProto:
    """The vocabulary in a GGUF file, as SentencePiece wants it: what is trained on is what Mummer reads."""
    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    scores = fields["tokenizer.ggml.scores"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    model = proto.ModelProto()
    for token, score, kind in zip(tokens, scores, types, strict=True):
        model.pieces.add(piece=token, score=score, type=KINDS[TokenType(kind)])
    model.trainer_spec.model_type = proto.TrainerSpec.BPE
    model.trainer_spec.byte_fallback = True
    model.trainer_spec.vocab_size = len(tokens)
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    return model


class Encoder:
    """Texts to token ids."""

    def __init__(self, model: proto.ModelProto):
        model = proto.ModelProto.FromString(model.SerializeToString())
        # The prefix space belongs to the start of a prompt only, not to each piece of it.
        model.normalizer_spec.add_dummy_prefix = False
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())

    def encode(self, pieces: list[tuple[str, bool]]) -> tuple[list[int], list[bool]]:
        """The ids of a scene with both end marks, and which of them the character says."""
        ids, by_character = [BOS], [False]
        for index, (text, said) in enumerate(pieces):
            encoded = self.processor.encode(" " + text if index == 0 else text)
            ids += encoded
            by_character += [said] * len(encoded)
        return [*ids, EOS], [*by_character, True]


def random_words(seed: int, count: int) -> list[str]:
    """Random letters, so that rare pairs of letters have pieces too."""
    generator = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return ["".join(generator.choice(letters) for _ in range(generator.randint(2, 9))) for _ in range(count)]
