// The verbs, one file each. A verb reads its arguments, calls the rooms,
// prints, and returns the exit code; what goes wrong it throws.
#pragma once

#include "common.h"

namespace regard::app {

int generate(const Arguments& arguments);
int chat(const Arguments& arguments);
int score(const Arguments& arguments);
int embed(const Arguments& arguments);
int tokenize(const Arguments& arguments);
int inspect(const Arguments& arguments);
int bench_attention(const Arguments& arguments);
int bench_model(const Arguments& arguments);
int doctor(const Arguments& arguments);
int lab(const Arguments& arguments);
int train(const Arguments& arguments);
int convert(const Arguments& arguments);
int pull(const Arguments& arguments);

}  // namespace regard::app
