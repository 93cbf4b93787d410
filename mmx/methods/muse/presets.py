"""Named changes of muse's defaults."""

PAPER = {
    "width": 768,
    "layers": 6,
    "heads": 12,
    "feedforward": 2048,
    "dropout": 0.2,
    "image_side": 8,
    "theta": 0.1,
    "mu": 1,
    "eta": 4,
    "exchange": "residual",
    "pairing": "place",
    "image_gate": False,
    "tower_path": False,
    "spelling": False,
    "head_dropout": 0.5,
    "legal_tags": False,
    "captioner": True,
    "generator": "pixels",
    "caption_width": 512,
    "filters": 80,
    "blocks": 5,
    "mixtures": 10,
    "epochs": 10,
    "batch_size": 40,
    "bucket": 1,
    "lr": 5e-5,
    "fusion_lr": 5e-5,
    "text_lr": 5e-5,
    "image_lr": 5e-5,
    "schedule": "linear",
}

PRESETS = {
    # Seed 002 by the scripts of its code. Unlike there, padding takes no part in anything, pictures are drawn
    # on the range their likelihood is of, tags stand on the first piece of a word, and the loss of a batch
    # does not depend on its size.
    "paper": {
        **PAPER,
        "text_encoder": "bert",
        "image_encoder": "resnet152",
        "train_image": True,
        # The stem and the first of four groups of layers stay as they are.
        "image_blocks": 47,
    },
    # The same structure at the width of encoders whose weights ship in packages; frozen picture features and
    # a small pixel network, so that it can be trained on a CPU.
    "offline": {
        **PAPER,
        "text_encoder": "minilm",
        "image_encoder": "efficientnet-lite0",
        "width": 384,
        "heads": 6,
        "feedforward": 1024,
        "caption_width": 256,
        "filters": 24,
        "blocks": 1,
        "mixtures": 5,
        "lr": 2e-4,
        "fusion_lr": 2e-4,
        "text_lr": 1e-4,
        "batch_size": 16,
        "bucket": 16,
        "epochs": 6,
    },
    # What later work and our own trials add; also the defaults. Larger text encoders go by their names:
    # --set text_encoder=roberta, or hub:FacebookAI/xlm-roberta-large.
    "strong": {},
    # Random weights, for trying things out in seconds.
    "tiny": {
        "text_encoder": "random:bert",
        "image_encoder": "random:resnet",
        "max_tokens": 32,
        "width": 32,
        "heads": 4,
        "feedforward": 64,
        "layers": 2,
        "spelling_width": 16,
        "generator": "pixels",
        "caption_width": 32,
        "thumbnail": 8,
        "filters": 8,
        "mixtures": 2,
        "theta": 0.3,
        "fusion_lr": 1e-3,
        "epochs": 2,
        "batch_size": 8,
    },
}
