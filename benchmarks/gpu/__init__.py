"""What only a machine with a GPU can show; ``benchmarks/gpu.sh`` runs it.

    chain      the demo from clips to scores on the GPU; features beside those of the CPU; the tests for GPUs
    pictures   the stages faces and visual on 720p: rates, idle time, MTCNN, ResNet-101, where the time goes
    training   an epoch of MELD's shape beside the plain transcription; launches, graphs, same bits twice
    text       windows and fine-tuning by an encoder of RoBERTa base's shape
    kinds      every network and every encoder that there is

Each part adds its figures to parts.jsonl in the folder of the results, so that what was found before a
failure stays.  Weights are drawn from seeds and clips made on the spot.
"""
