// Blocks of a few elements, so that small products take every way: several packings in each
// dimension, sums that wait, tasks that start within them. Every instruction set that this
// processor has is tested, and panels of every width that one has.
#include "kernels/gemm_blocked.h"

#include <string>

#include "tests/kernels/available_tile_ops.h"
#include "tests/kernels/gemm_case.h"

namespace rung {
namespace {

using kernels::cpu::gemm_blocked;
using kernels::cpu::GemmBlocking;
using kernels::cpu::GemmShape;
using kernels::cpu::GemmStore;
using kernels::cpu::ReusedFloats;
using kernels::cpu::TileOps;
using testing::GemmCase;
using testing::GemmLayout;
using testing::kGemmLayouts;
using testing::NamedTileOps;

std::vector<NamedTileOps> available_ops() {
  std::vector<NamedTileOps> all = testing::available_tile_ops();
  NamedTileOps wide = all.front();
  wide.name += ", panels of 32 columns";
  wide.ops.panel_columns = 32;
  all.push_back(wide);
  return all;
}

// Two panels are packed of a sum of 40 and more, the rest of which waits; a task takes one of them.
GemmBlocking tiny(int64_t panel_columns) {
  return {.rows = 5,
          .depth = 7,
          .columns = panel_columns,
          .packed_floats = 2 * panel_columns * 40,
          .packed_depth = 40,
          .waiting_rows = 12};
}

// Cuts sums as tiny() does, and nothing else.
GemmBlocking uncut(int64_t panel_columns) {
  GemmBlocking blocking = tiny(panel_columns);
  blocking.rows = 1000;
  blocking.columns = 50 * panel_columns;
  blocking.packed_floats = int64_t{1} << 20;
  blocking.waiting_rows = 1000;
  return blocking;
}

template <typename T, typename Out>
std::vector<Out> product(const GemmCase<T, Out>& c, const TileOps& ops,
                         const GemmBlocking& blocking) {
  ReusedFloats workspace;
  return c.after([&](const auto&... operands) {
    gemm_blocked<T, Out>(operands..., {ops, blocking, workspace});
  });
}

template <typename Types>
class GemmBlocked : public ::testing::Test {
 protected:
  using Case = GemmCase<typename Types::In, typename Types::Result>;

  // In every layout.
  template <typename Check>
  static void for_each_case(const TileOps& ops, const Check& check) {
    const int64_t width = ops.panel_columns;
    for (const GemmLayout& layout : kGemmLayouts) {
      for (const int64_t m : {1, 5, 12, 29}) {
        for (const int64_t n : {int64_t{1}, width, 3 * width + 5}) {
          for (const int64_t k : {1, 39, 41, 95}) {
            for (const auto store : {GemmStore::kSet, GemmStore::kAdd}) {
              check(Case({m, n, k}, layout, 0.5f, store));
            }
          }
        }
      }
    }
  }
};

TYPED_TEST_SUITE(GemmBlocked, testing::AllGemmTypes);

TYPED_TEST(GemmBlocked, MatchesReferenceInTinyBlocks) {
  for (const auto& [name, ops] : available_ops()) {
    SCOPED_TRACE(name);
    this->for_each_case(ops,
                        [&](const auto& c) { c.check(product(c, ops, tiny(ops.panel_columns))); });
  }
}

TYPED_TEST(GemmBlocked, BlocksOfRowsAndColumnsChangeNoBit) {
  for (const auto& [name, ops] : available_ops()) {
    SCOPED_TRACE(name);
    this->for_each_case(ops, [&](const auto& c) {
      EXPECT_EQ(testing::bits_of(product(c, ops, tiny(ops.panel_columns))),
                testing::bits_of(product(c, ops, uncut(ops.panel_columns))));
    });
  }
}

TYPED_TEST(GemmBlocked, WidthsOfPanelsChangeNoBit) {
  const auto all = available_ops();
  const TileOps& narrow = all.front().ops;
  const TileOps& wide = all.back().ops;
  this->for_each_case(wide, [&](const auto& c) {
    EXPECT_EQ(testing::bits_of(product(c, wide, tiny(wide.panel_columns))),
              testing::bits_of(product(c, narrow, tiny(narrow.panel_columns))));
  });
}

TYPED_TEST(GemmBlocked, HasTheSameBitsWithEveryNumberOfThreads) {
  for (const auto& [name, ops] : available_ops()) {
    SCOPED_TRACE(name);
    const GemmBlocking blocking = tiny(ops.panel_columns);
    for (const GemmLayout& layout : kGemmLayouts) {
      const typename TestFixture::Case c({150, 7 * ops.panel_columns + 5, 190}, layout, 1.0f,
                                         GemmStore::kAdd);
      const auto run = [&] { return testing::bits_of(product(c, ops, blocking)); };
      std::vector<uint32_t> alone;
      testing::with_threads(1, [&] { alone = run(); });
      for (const int threads : {2, 3, 5}) {
        testing::with_threads(threads, [&] { EXPECT_EQ(run(), alone); });
      }
    }
  }
}

// Of products after one another, in any order of their sizes.
TYPED_TEST(GemmBlocked, LeavesNothingInItsWorkspace) {
  using In = typename TypeParam::In;
  using Out = typename TypeParam::Result;
  const TileOps ops = kernels::cpu::tile_ops();
  const GemmBlocking blocking = tiny(ops.panel_columns);
  ReusedFloats workspace;
  for (const GemmShape& shape :
       {GemmShape{29, 70, 95}, GemmShape{3, 5, 7}, GemmShape{29, 70, 41}, GemmShape{40, 90, 120}}) {
    const typename TestFixture::Case c(shape, {}, 1.0f, GemmStore::kSet);
    const std::vector<Out> got = c.after([&](const auto&... operands) {
      gemm_blocked<In, Out>(operands..., {ops, blocking, workspace});
    });
    EXPECT_EQ(testing::bits_of(got), testing::bits_of(product(c, ops, blocking)));
  }
}

}  // namespace
}  // namespace rung
