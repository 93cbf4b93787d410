"""Named changes of region-align's defaults."""

OFFLINE = {
    "image_encoder": "efficientnet-lite0",
    "text_encoder": "minilm",
    "temperature": 0.05,
    # A second look with perceptrons of its own, that learns by itself: beside scores that the heads know by
    # heart there is nothing left to learn.
    "fine": "gather",
    "members": 3,
    "region_window": 3,
    "sum_loss": 0.0,
    "fine_loss": 1.0,
    "region_epochs": 16,
    "region_lr": 1e-3,
    "region_weight_decay": 0.05,
    "region_batch_size": 256,
    "region_captions": None,
    "region_clip_norm": None,
}

PRESETS = {
    # The settings of seed 004. It names neither the backbone, nor a schedule, nor how it learns the second
    # stage: ViT-B/32, cosine with 5 % of warm-up, ten epochs at 1e-4 and clipping at 1 are ours.
    "paper": {
        "image_encoder": "clip-vit-b32",
        "text_encoder": "clip-vit-b32",
        "train_image": True,
        "train_text": True,
        "projection": "none",
        "augment": "none",
        "regions": "faster-rcnn",
        "temperature": 0.07,
        "learn_temperature": False,
        "lr": 1e-5,
        "weight_decay": 1e-4,
        "batch_size": 64,
        "captions_per_image": 1,
        "epochs": 12,
        "region_lr": 1e-4,
        "region_weight_decay": 1e-4,
        "region_batch_size": 64,
        "region_captions": 1,
        "region_epochs": 10,
        "region_clip_norm": 1.0,
    },
    # Weights from two registry packages, both towers as they are: minutes on a CPU.
    "offline": OFFLINE,
    # The image encoder tuned from a run of `offline` (`--init`), whose heads and second look have learned.
    "offline-tuned": {
        **OFFLINE,
        "train_image": True,
        "image_blocks": 5,
        "augment": "crop-flip",
        "mirror": True,
        "head_epochs": 0,
        "joint_head_lr": 3e-4,
        "epochs": 5,
        "lr": 2e-4,
        "warmup": 0.1,
        "clip_norm": 5.0,
        "batch_size": 128,
        "region_epochs": 4,
    },
    # Random weights, for trying things out in seconds.
    "tiny": {
        "image_encoder": "random:resnet",
        "text_encoder": "random:bert",
        "train_image": True,
        "image_blocks": 2,
        "augment": "none",
        "hidden_width": 64,
        "width": 32,
        "attention_width": 16,
        "batch_size": 8,
        "region_batch_size": 8,
        "head_epochs": 1,
        "epochs": 1,
        "lr": 1e-3,
        "region_epochs": 1,
        "region_lr": 1e-3,
    },
}
