// PyTorch's loss and gradients of whole recurrent encoder-decoders: golden/, make_goldens.py.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "seq2seq/seq2seq.h"
#include "tensor/tape.h"

namespace regard {
namespace {

using namespace seq2seq;

struct Golden {
  std::vector<std::vector<Id>> sources, targets;
  double loss = 0;
  std::map<std::string, std::vector<double>> numbers;
};

Golden read(const std::string& name) {
  Golden made;
  std::ifstream file(std::string(REGARD_GOLDEN) + "/" + name + ".txt");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key, word;
    words >> key;
    if (key == "loss") {
      words >> made.loss;
    } else if (key == "source" || key == "target") {
      auto& to = (key == "source" ? made.sources : made.targets).emplace_back();
      for (Id id; words >> id;) to.push_back(id);
    } else {
      while (words >> word && word != ":") {
      }
      for (double x; words >> x;) made.numbers[key].push_back(x);
    }
  }
  return made;
}

void expect_pytorch(const std::string& name, Config config) {
  SCOPED_TRACE(name);
  const Golden golden = read(name);
  ASSERT_FALSE(golden.sources.empty()) << "no golden file";
  config.source_vocabulary = config.target_vocabulary = 9;
  config.width = 6, config.hidden = 8, config.units = 7;
  nn::Parameters parameters;
  const Seq2Seq model(config, {&parameters});
  ASSERT_EQ(static_cast<std::size_t>(parameters.size()) * 2, golden.numbers.size());
  for (nn::Parameter& one : parameters) {
    const auto found = golden.numbers.find(one.name);
    ASSERT_NE(found, golden.numbers.end()) << one.name;
    const auto to = one.leaf.writable_numbers<float>();
    ASSERT_EQ(found->second.size(), to.size()) << one.name;
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(found->second[i]);
  }
  const Taught made = model(pad(golden.sources), pad(golden.targets));
  EXPECT_NEAR(made.loss.numbers<float>()[0] / golden.loss, 1, 1e-6);
  backward(made.loss);
  for (const nn::Parameter& one : parameters) {
    const std::vector<double>& wanted = golden.numbers.at(one.name + ".gradient");
    double largest = 0;
    for (const double x : wanted) largest = std::max(largest, std::abs(x));
    const Tensor gradient = one.leaf.gradient();
    ASSERT_TRUE(gradient) << one.name;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(gradient.numbers<float>()[i], wanted[i], 1e-4 * largest) << one.name << " " << i;
    }
  }
}

TEST(Golden, S1_2_LossAndEveryGradientArePyTorchs) {
  expect_pytorch("lstm_bahdanau", {.cell = Cell::lstm, .bidirectional = true});
  expect_pytorch("lstm_bahdanau_state",
                 {.cell = Cell::lstm, .bidirectional = true, .query = Query::state});
  expect_pytorch("gru_bahdanau", {.cell = Cell::gru});
  expect_pytorch("lstm_general", {.context = Context::luong});
  expect_pytorch("gru_every_step", {.cell = Cell::gru, .context = Context::every_step});
  expect_pytorch("lstm_init", {.context = Context::init});
}

}  // namespace
}  // namespace regard
