"""Amazon Bedrock's Converse and ConverseStream.

Rules: the Amazon Bedrock API Reference, `API_runtime_Converse` and `API_runtime_ConverseStream`,
and the service model of botocore (`bedrock-runtime/2023-09-30`).
"""

from workers.adapters.bedrock.adapter import BedrockAdapter

__all__ = ["BedrockAdapter"]
