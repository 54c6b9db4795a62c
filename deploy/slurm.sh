#!/bin/sh
# A campaign as a job array: every task takes its part of the worlds, and one job puts the parts together.
#
#   mkdir -p results
#   array=$(sbatch --parsable deploy/slurm.sh)
#   sbatch --dependency=afterany:$array --wrap 'ackproof merge results/shard-*.ndjson'
#
# Which part, and of how many, is read from the variables of the array; it must be one range.
#SBATCH --job-name=ackproof-chaos
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --output=results/%x-%a.log

ackproof chaos --seeds 0..100000 --jobs "$SLURM_CPUS_PER_TASK" --format json > "results/shard-$SLURM_ARRAY_TASK_ID.ndjson"
# 1 says that something was found: the task has done what it was for.
test $? -le 1
