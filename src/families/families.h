// Every family that regard knows; each is one file of this folder.
#pragma once

#include <span>
#include <string>

#include "families/common.h"
#include "formats/gguf.h"
#include "formats/hf_config.h"
#include "models/rope.h"

namespace regard::families {

const Family& bert();
const Family& bloom();
const Family& gemma2();
const Family& gemma3();
const Family& gpt2();
const Family& llama();
const Family& mistral();
const Family& mixtral();
const Family& mpt();
const Family& phi3();
const Family& qwen2();
const Family& qwen3();
const Family& roberta();
const Family& t5();

std::span<const Family* const> all();

// By config.json's model_type, or by a GGUF's general.architecture.
// Throws Error(unreadable) that names those that are supported.
const Family& family_of(const HfConfig& config);
const Family& family_of(const GgufFile& file);

// The settings of a folder of transformers. Throws Error(unreadable).
Settings read_config(const HfConfig& config, const Family& family);

// The family whose config.json says what a GGUF's settings say: one architecture of GGUF can be
// several of transformers, and RoBERTa's without padding is a BERT.
const Family& stored_family(const Settings& settings, const Family& family);

// config.json of these settings, which reads back as the same; without ids of tokens and dtype.
// The settings' biases are those that there are.
// Throws Error(unreadable) naming `file` and the setting that such a folder cannot say.
nlohmann::json write_config(const Settings& settings, const Family& family,
                            const std::string& file);

}  // namespace regard::families
