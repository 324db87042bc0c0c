import json

import pytest

from broker.completion import CompletionRequest
from workers.adapters.base import MalformedAnswerError
from workers.operations.embeddings import GeminiEmbeddings, OpenAiEmbeddings
from workers.operations.rerank import OpenAiRerank

PACKED = CompletionRequest(body={"input": ["a", "b"], "encoding_format": "base64"}, model="m")
PLAIN = CompletionRequest(body={"input": ["a", "b"]}, model="m")


def test_embeddings_without_indexes_keep_their_order():
    data = [{"index": None, "embedding": [1.0]}, {"embedding": [2.0]}]
    read = OpenAiEmbeddings().read_response(json.dumps({"data": data}).encode(), PLAIN)
    assert [entry["embedding"] for entry in read.body["data"]] == [[1.0], [2.0]]


@pytest.mark.parametrize("vector", [None, 1, ["a"], [None]])
def test_what_is_no_vector(vector):
    body = json.dumps({"data": [{"index": 0, "embedding": vector}]}).encode()
    with pytest.raises(MalformedAnswerError):
        OpenAiEmbeddings().read_response(body, PACKED)


def test_a_count_that_is_no_object():
    body = json.dumps({"embeddings": [{"values": [1.0]}], "usageMetadata": "x"}).encode()
    assert GeminiEmbeddings().read_response(body, PLAIN).usage is None


def test_a_ranking_that_names_no_document():
    body = json.dumps({"results": [{"index": None, "relevance_score": 1}]}).encode()
    with pytest.raises(MalformedAnswerError):
        OpenAiRerank().read_response(body, PLAIN)
