"""Instructions of disassembled machine code: which are counted, and which are the loop's."""

from __future__ import annotations

from recallscope_kernels.profiling.assembly import _count, _instructions

CODE = """
	.section	.text.kernel,"ax",@progbits
        /*0000*/                   LDC R1, c[0x0][0x28] ;                        /* 0x00000a00ff017b82 */
                                                                                 /* 0x000fe20000000800 */
.L_x_0:
        /*0010*/                   HGMMA.64x32x16.F32.BF16 R24, gdesc[UR4], RZ ; /* 0x0 */
.L_x_1:
        /*0020*/              @!P0 SHFL.BFLY PT, R2, R3, 0x1, 0x1f ;             /* 0x0 */
        /*0030*/              @P1  BRA `(.L_x_1) ;                               /* 0x0 */
        /*0040*/                   WARPGROUP.DEPBAR.LE gsb0, 0x0 ;               /* 0x0 */
        /*0050*/              @!UP0 BRA `(.L_x_0) ;                              /* 0x0 */
        /*0060*/                   BRA `(.L_x_3) ;                               /* 0x0 */
.L_x_2:
        /*0070*/                   BRA `(.L_x_2) ;                               /* 0x0 */
.L_x_3:
        /*0080*/                   EXIT ;                                        /* 0x0 */
	.section	.debug_line
        /*0000*/ 	.byte	0x01, 0x02
"""


def test_the_longest_loop_is_found_and_data_are_no_instructions():
    """A jump forward is no loop, and one to itself is where code ends that must not run on."""
    everything, loop = _instructions(CODE)
    assert len(everything) == 9
    assert [line.split("*/")[0].strip() for line in loop] == ["/*0010", "/*0020", "/*0030", "/*0040", "/*0050"]
    assert _count(r"SHFL\.", CODE) == _count(r"HGMMA\.", "\n".join(loop)) == 1 and _count(r"HMMA\.", CODE) == 0


def test_without_a_loop_there_is_none():
    straight = "\n".join(line for line in CODE.splitlines() if "_1)" not in line and "_0)" not in line)
    assert _instructions(straight)[1] == []
