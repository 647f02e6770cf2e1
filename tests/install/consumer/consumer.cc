// Attention over two keys whose scores are equal: the answer is the mean of their values.
#include <cstdio>

#include "regard/attention.h"

int main() {
  const float q[2] = {1, 0}, k[4] = {0, 1, 0, -1}, v[4] = {1, 2, 3, 6};
  float out[2] = {};
  regard::attention({q, {1, 1, 2}}, {k, {2, 1, 2}}, {v, {2, 1, 2}}, {out, {1, 1, 2}});
  std::printf("%g %g\n", out[0], out[1]);
}
