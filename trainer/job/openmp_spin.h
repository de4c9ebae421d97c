// How long OpenMP's threads spin while they wait for work.
//
// libgomp's threads spin for milliseconds before they sleep. On a machine that other programs use
// as well, they burn the very time that those need, and the threads that have work wait for a core.
#pragma once

namespace rung::job {

// Makes the threads spin for microseconds only, unless the environment says how they are to wait
// (OMP_WAIT_POLICY, GOMP_SPINCOUNT). libgomp reads the environment when it is loaded, before main:
// so this runs the same program again, once, as the same process with the same arguments. Call it
// first in main; it returns where nothing is to be done, or cannot be.
void shorten_openmp_spin(char** argv);

}  // namespace rung::job
