"""An installation whose providers speak different wires, all of them played by the simulator.

Not here, because the simulator does not speak them: Cohere's chat and Bedrock's Converse; recorded
exchanges prove those (tests/contract). What a wire cannot do is said beside each test.
"""

from tests.installation import Installation

OPENAI_LIKE = ("openai", "mistral", "azure", "deployment")
GEMINI_LIKE = ("gemini", "array", "vertex")
WIRES = (*OPENAI_LIKE, "anthropic", *GEMINI_LIKE, "responses")

PROVIDERS = """
[[providers]]
slug = "openai"
wire = "openai"
base_url = "{root}/v1"
quirks = ["reasoning_content"]
[[providers]]
slug = "mistral"
wire = "mistral"
base_url = "{root}/v1"
[[providers]]
slug = "azure"
wire = "azure"
base_url = "{root}"
[[providers]]
slug = "deployment"
wire = "azure"
base_url = "{root}"
options = {{ api_version = "2024-10-21" }}
[[providers]]
slug = "anthropic"
wire = "anthropic"
base_url = "{root}/v1"
[[providers]]
slug = "responses"
wire = "openai"
base_url = "{root}/v1"
[[providers]]
slug = "apart"
wire = "openai"
base_url = "{root}/v1"
quirks = ["background"]
options = {{ background = true }}
[[providers]]
slug = "gemini"
wire = "gemini"
base_url = "{root}/v1beta"
[[providers]]
slug = "array"
wire = "gemini"
base_url = "{root}/v1beta"
quirks = ["json_array"]
[[providers]]
slug = "vertex"
wire = "gemini"
base_url = "{root}/v1"
options = {{ project = "p", region = "r" }}
quirks = ["vertex"]
"""
PICTURES = """
[[providers]]
slug = "bfl"
wire = "bfl"
base_url = "{root}/bfl/v1"
[[providers]]
slug = "fal"
wire = "fal"
base_url = "{root}/fal"
[[providers]]
slug = "stability"
wire = "stability"
base_url = "{root}"
"""
PICTURE_WIRES = ("bfl", "fal", "stability")
NATIVE = (
    *("sim", "sim-echo", "sim-tools", "sim-tools2", "sim-json", "sim-reason", "sim-image"),
    *("sim-401", "sim-429-retry7", "sim-529", "sim-errstream", "sim-cut", "sim-reason-tools"),
    "sim-chunk50",
)
APART = ("sim-story-cut", "sim-story-chunk100")
"""Models of the provider `apart`, which answers in the background by the Responses API."""

SEES = ("text", "image", "file", "audio")


def wired(settings: dict[str, str] | None = None) -> Installation:
    """Return an installation, not yet started. Each wire has every model of NATIVE.

    Besides, `<wire>/sees` takes all but films, and `<wire>/reads` takes only text and repeats it.
    """
    installation = Installation({"WAYBILL_DEFAULT_MAX_ATTEMPTS": "1", **(settings or {})})
    root = f"http://127.0.0.1:{installation.simulator_port}"
    providers = (
        (PROVIDERS + PICTURES).format(root=root).replace("\nwire", '\napi_key = "any"\nwire')
    )
    models = [_model(wire, native, native) for wire in WIRES for native in NATIVE]
    models += [_model("apart", native, native) for native in APART]
    models += [_model(wire, "sees", "sim", SEES) for wire in WIRES]
    models += [_model(wire, "reads", "sim-echo", ("text",)) for wire in WIRES]
    models += [_picture_model(wire) for wire in PICTURE_WIRES]
    models.append(
        '[[models]]\nslug = "fal/slow"\noutput_modalities = ["image"]\n'
        'endpoints = [{ provider = "fal", model = "sim-lat60000", image_output = "0.04" }]'
    )
    models.append(
        '[[models]]\nslug = "openai/speaks"\noutput_modalities = ["text", "audio"]\n'
        'endpoints = [{ provider = "openai", model = "sim", prompt = "3", completion = "15", '
        'audio_output = "60" }]'
    )
    models += [_picture_model("openai", "gpt-image-2"), _picture_model("gemini", "imagen-4.0")]
    installation.config.write_text("\n".join([installation.config.read_text(), providers, *models]))
    return installation


def _picture_model(wire: str, name: str = "sim") -> str:
    return (
        f'[[models]]\nslug = "{wire}/{name}"\noutput_modalities = ["image"]\n'
        f'input_modalities = ["text", "image"]\n'
        f'endpoints = [{{ provider = "{wire}", model = "sim", image_output = "0.04", pictures = ['
        f'{{ quality = "high", size = "1024x1024", price = "0.2" }}, '
        f'{{ quality = "high", price = "0.1" }}] }}]\n'
    )


def _model(wire: str, name: str, native: str, modalities: tuple[str, ...] = ()) -> str:
    prices = 'prompt = "3", completion = "15", cache_read = "0.3", cache_write = "3.75", '
    prices += 'audio_hour = "3600"'
    takes = f"input_modalities = {list(modalities)}\n" if modalities else ""
    if native == "sim-image":
        takes += 'output_modalities = ["text", "image"]\n'
    if wire in ("responses", "apart"):
        prices += ', interface = "responses"'
    return (
        f'[[models]]\nslug = "{wire}/{name}"\n{takes}'
        f'endpoints = [{{ provider = "{wire}", model = "{native}", {prices} }}]\n'
    )
