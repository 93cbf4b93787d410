"""Named changes of attention-clip's defaults."""

OFFLINE = {
    "image_encoder": "efficientnet-lite0",
    "text_encoder": "minilm",
    "members": 4,
    "temperature": 0.05,
    "learn_temperature": False,
}

PRESETS = {
    # The settings of seed 001, Table I. Unlike there, BatchNorm keeps its ImageNet averages, biases and
    # norms are not decayed, the plateau watches val rsum, and ResNet50 is torchvision's.
    "paper": {
        "image_encoder": "resnet50",
        "text_encoder": "distilbert",
        "train_image": True,
        "train_text": True,
        "attention": "self",
        "augment": "none",
        "pooled_path": False,
        "attention_dropout": 0.1,
        "token_dropout": 0.0,
        "projection": "residual",
        "standardize": False,
        "image_power": 1.0,
        "image_dropout": 0.0,
        "text_dropout": 0.0,
        "width": 256,
        "dropout": 0.1,
        "loss": "faithful",
        "temperature": 1.0,
        "learn_temperature": False,
        "weight_decay": 1e-3,
        "batch_size": 64,
        "captions_per_image": 1,
        "epochs": 2,
        "schedule": "plateau",
        "warmup": 0.0,
    },
    # Weights from two registry packages, so that no model hub is needed.
    "offline": OFFLINE,
    # The image encoder tuned from a run of `offline` (`--init`); tuning MiniLM too did not help on val.
    "offline-tuned": {
        **OFFLINE,
        "train_image": True,
        "image_blocks": 5,
        "augment": "crop-flip",
        "mirror": True,
        "batch_size": 128,
        "epochs": 5,
        "lr": 3e-4,
        "image_lr": 2e-4,
        "warmup": 0.1,
        "clip_norm": 5.0,
    },
    # Random weights, for trying things out in seconds.
    "tiny": {
        "image_encoder": "random:resnet",
        "text_encoder": "random:bert",
        "augment": "none",
        "attention": "self",
        "attention_width": 32,
        "hidden_width": 64,
        "width": 32,
        "batch_size": 8,
        "epochs": 2,
    },
}
