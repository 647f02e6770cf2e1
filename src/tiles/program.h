// Where the interpreter was before it had a room of its own.
#pragma once

#include "interpreter/program.h"
