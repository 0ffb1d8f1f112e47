"""A language model of bytes whose backbone sees words: it runs once a word, and needs no vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recallscope.architectures.architecture import Architecture
from recallscope.architectures.config import ModelConfig
from recallscope.architectures.mixers import State
from recallscope.architectures.model import Stack

BYTES = 256
SPACES = (0x20, 0x09, 0x0A, 0x0D)  # space, tab, line feed, carriage return


@dataclass(frozen=True)
class HierarchicalState:
    """What is kept between two bytes of one sequence: the states of the three stacks, and how far the word is.

    Attributes
    ----------
    words : list
        Of the backbone, after the words that have ended.
    encoder, decoder : list
        After the bytes of the current word; the decoder has read what the backbone says, too.
    offset : int
        Bytes of the current word so far: a position, no content.
    """

    words: list[State]
    encoder: list[State]
    decoder: list[State]
    offset: int


class HierarchicalModel(nn.Module):
    """Encoder, backbone and decoder (Neitemeier et al. 2025, hierarchical autoregressive transformers).

    A word ends after a white-space byte, or when it has `longest` bytes. With `b_{i,1..c}` the bytes of word i:

    - `e_i = W_up Encoder([b_{i,1}, ..., b_{i,c}; r])` at the learned vector r, which reads the word;
    - `p_i = Backbone(e_1, ..., e_i)`, any stack of mixers over words; `p_0` is learned;
    - `Decoder([W_down p_{i-1}; b_{i,1}, ..., b_{i,c-1}])` predicts `b_{i,1}, ..., b_{i,c}`.

    Reconstruction: published encoders read a word in both directions; here all three stacks are causal, and r stands
    last, where it sees the whole word as well. So words may be padded on the right without masks.

    Parameters
    ----------
    encoder, backbone, decoder : ModelConfig
        Shapes of the three stacks, `vocabulary` 0: there is none.
    longest : int
        Most bytes of a word.
    """

    def __init__(self, encoder: ModelConfig, backbone: ModelConfig, decoder: ModelConfig, longest: int = 16):
        super().__init__()
        if longest < 1:
            raise ValueError(f"longest: at least 1 byte, got {longest}")
        for name, config in (("encoder", encoder), ("backbone", backbone), ("decoder", decoder)):
            if config.vocabulary:
                raise ValueError(f"{name}: vocabulary 0, since bytes are read and written, got {config.vocabulary}")
        self.longest = longest
        self.encoder, self.backbone, self.decoder = Stack(encoder), Stack(backbone), Stack(decoder)
        self.read_bytes = nn.Embedding(BYTES, encoder.width)
        self.written_bytes = nn.Embedding(BYTES, decoder.width)
        self.reader = nn.Parameter(torch.randn(encoder.width))
        self.start = nn.Parameter(torch.randn(backbone.width))
        self.up = nn.Linear(encoder.width, backbone.width, bias=False)
        self.down = nn.Linear(backbone.width, decoder.width, bias=False)
        self.head = nn.Linear(decoder.width, BYTES, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Bytes `[B, T]`, integers below 256, to the logits of the next byte `[B, T, 256]`; words all at once."""
        ends, word, offset = self.split(ids)
        batch, words = ids.shape[0], int(word.max()) + 1
        row = torch.arange(batch, device=ids.device)[:, None]
        width = self.encoder.config.width
        grid = self.read_bytes.weight.new_zeros(batch, words, self.longest + 1, width)
        read = self.reader.expand(batch, words, width)
        length = torch.zeros(batch, words, dtype=torch.long, device=ids.device)
        length = length.index_put((row.expand_as(word), word), torch.ones_like(word), accumulate=True)
        grid = grid.index_put((row.expand_as(word), word, offset), self.read_bytes(ids))
        column = torch.arange(words, device=ids.device)[None]
        grid = grid.index_put((row.expand_as(length), column.expand_as(length), length), read)
        found = self.encoder.vectors(grid.flatten(0, 1)).unflatten(0, (batch, words))
        summary = found[row, column, length]  # [B, words, D_e], at the reader
        told = self.backbone.vectors(self.up(summary))
        told = torch.cat([self.start.expand(batch, 1, -1), told], 1)  # what word i = 0 ... words is told
        slots = self.written_bytes.weight.new_zeros(batch, words + 1, self.longest, self.decoder.config.width)
        slots = torch.cat([self.down(told)[:, :, None], slots[:, :, 1:]], 2)
        inner = ~ends  # a byte that ends its word is not read by that word's decoder
        where = (row.expand_as(word)[inner], word[inner], offset[inner] + 1)
        slots = slots.index_put(where, self.written_bytes(ids)[inner])
        written = self.decoder.vectors(slots.flatten(0, 1)).unflatten(0, (batch, words + 1))
        return self.head(written[row, word + ends, torch.where(ends, 0, offset + 1).clamp(max=self.longest - 1)])

    def split(self, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whether a byte ends its word, the word's number and the byte's place in it, both from 0: each `[B, T]`."""
        t = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        space = torch.isin(ids, torch.tensor(SPACES, device=ids.device))
        before = torch.where(space, t + 1, 0).cummax(1).values.roll(1, 1)  # where the run without white space began
        before[:, 0] = 0
        ends = space | ((t - before) % self.longest == self.longest - 1)
        word = ends.long().cumsum(1).roll(1, 1)
        word[:, 0] = 0
        return ends, word, (t - before) % self.longest

    def init_state(self) -> HierarchicalState:
        """Before the first byte: the decoder has read the learned start. One sequence, since words differ in length."""
        _, decoder = self.decoder.run(self.down(self.start)[None], self.decoder.init_state(1))
        return HierarchicalState(self.backbone.init_state(1), self.encoder.init_state(1), decoder, 0)

    def step(self, byte: Tensor, state: HierarchicalState) -> tuple[Tensor, HierarchicalState]:
        """One byte `[1]` to the logits of the next `[1, 256]` and the state after it; the last of a word runs all."""
        if byte.shape != (1,):
            raise ValueError(f"byte: of one sequence, shape (1,), got {tuple(byte.shape)}")
        words, offset = state.words, state.offset + 1
        _, encoder = self.encoder.run(self.read_bytes(byte), state.encoder)
        if int(byte) in SPACES or offset == self.longest:
            read, _ = self.encoder.run(self.reader[None], encoder)
            told, words = self.backbone.run(self.up(read), words)
            hidden, decoder = self.decoder.run(self.down(told), self.decoder.init_state(1))
            encoder, offset = self.encoder.init_state(1), 0
        else:
            hidden, decoder = self.decoder.run(self.written_bytes(byte), state.decoder)
        return self.head(hidden), HierarchicalState(words, encoder, decoder, offset)

    def parameters_count(self) -> int:
        """Three stacks, 256 (D_e + 2 D_d) for bytes, D (D_e + D_d) between the stacks, two learned vectors."""
        d_e, d, d_d = (stack.config.width for stack in (self.encoder, self.backbone, self.decoder))
        stacks = sum(Architecture("", s.config).parameters() for s in (self.encoder, self.backbone, self.decoder))
        return stacks + BYTES * (d_e + 2 * d_d) + d * (d_e + d_d) + d_e + d

    def state_elements(self, words: int, offset: int) -> int:
        """After `words` whole words and `offset` bytes of the next; the decoder has read one vector more than them."""
        encoder, backbone, decoder = (Architecture("", s.config) for s in (self.encoder, self.backbone, self.decoder))
        return backbone.state_elements(words) + encoder.state_elements(offset) + decoder.state_elements(offset + 1)

    def forward_flops(self, words: int, batch: int = 1) -> int:
        """Executed FLOPs of `forward` on texts of at most `words` words, short words padded; without the head.

        The head runs once a byte: 512 D_d FLOPs each.
        """
        encoder, backbone, decoder = (Architecture("", s.config) for s in (self.encoder, self.backbone, self.decoder))
        d_e, d, d_d = encoder.config.width, backbone.config.width, decoder.config.width
        local = encoder.prefill_flops(self.longest + 1, batch * words)
        written = decoder.prefill_flops(self.longest, batch * (words + 1))
        between = 2 * batch * d * (words * d_e + (words + 1) * d_d)
        return local + backbone.prefill_flops(words, batch) + written + between
