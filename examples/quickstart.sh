#!/bin/sh
# The main job from beginning to end, on 2,000 drawn scenes: no download from a hub, no GPU, some minutes on two
# cores. With PHOTOS=DIR instead: photos of one's own, found with the run that comes with mmx.
set -eu
MMX=${MMX:-mmx}
: "${MMX_HOME:=demo}"
export MMX_HOME

if [ -n "${PHOTOS:-}" ]; then
    $MMX search "${QUERY:-a dog on the grass}" --in "$PHOTOS" --run offline-flickr8k --sheet "$MMX_HOME/sheet.png"
    exit
fi
if [ ! -d "$MMX_HOME/datasets/toy" ]; then
    $MMX prepare toy
fi
$MMX extract toy --encoder offline
$MMX train attention-clip --dataset toy --preset offline --set augment=none
$MMX evaluate --split test
$MMX search "a green cross to the right of two purple squares" --split test --sheet "$MMX_HOME/sheet.png"
