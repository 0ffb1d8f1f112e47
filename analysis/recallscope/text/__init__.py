"""Text in: documents, tokenizers and token shards."""

from recallscope.text.documents import Document as Document
from recallscope.text.documents import digest as digest
from recallscope.text.documents import read_documents as read_documents
from recallscope.text.shards import Shard as Shard
from recallscope.text.shards import read_token_array as read_token_array
from recallscope.text.shards import tokenize as tokenize
from recallscope.text.tokenizer import Encoder as Encoder
from recallscope.text.tokenizer import Spans as Spans
from recallscope.text.tokenizer import Tokenizer as Tokenizer
from recallscope.text.tokenizer import load_tokenizer as load_tokenizer
