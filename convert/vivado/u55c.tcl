# A Vivado project for the Alveo U55C: {{ named }} with PCIe (XDMA) and HBM. Made by fsa-convert.
# Vivado has not run here: what is checked is that this is Tcl, and that it connects every interface and pin that the
# IP has once, to pins of those names that AMD's IP has in public designs.
#
#     vivado -mode batch -source u55c.tcl [-tclargs bitstream]
#
# makes fsa_u55c/fsa_u55c.xpr in the current folder, and with bitstream also synthesises, places, routes, and writes
# the bitstream. The files that fsa-convert wrote must lie beside this one.
#
# The host sees HBM from address 0 of the DMA on, which is where the device sees it, and the device's registers from
# offset 0 of the AXI4-Lite BAR on. The interrupt is usr_irq_req[0]; it stays until its register is written.

set here [file dirname [file normalize [info script]]]
set part xcu55c-fsvh2892-2L-e
set board xilinx.com:au55c:part0:1.0

create_project -force fsa_u55c fsa_u55c -part $part
# without the card's files Vivado knows the part all the same, and the pins are in u55c.xdc
if {[llength [get_board_parts -quiet $board]]} {
    set_property board_part $board [current_project]
}
set_property ip_repo_paths [list $here] [current_project]
update_ip_catalog
add_files -fileset constrs_1 -norecurse [file join $here u55c.xdc]
create_bd_design fsa_u55c

# the newest version of AMD's IP of a name; settings are a list of names and values
proc add {name ip settings} {
    set cell [create_bd_cell -type ip -vlnv xilinx.com:ip:$ip $name]
    set given {}
    foreach {setting value} $settings {
        lappend given CONFIG.$setting $value
    }
    if {[llength $given]} {
        set_property -dict $given $cell
    }
}
proc join_pins {from args} {
    foreach to $args {
        connect_bd_net [get_bd_pins $from] [get_bd_pins $to]
    }
}
proc join_interfaces {from to} {
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}

# -- the device, on a clock of its own -------------------------------------------------------------------------------
create_bd_cell -type ip -vlnv {{ named }} device

# -- PCIe: 16 lanes of 8 GT/s; 512 bits at 250 MHz, the clock of all AXI but the device's ------------------------------
add xdma xdma {
    mode_selection Advanced
    functional_mode DMA
    PCIE_BOARD_INTERFACE Custom
    SYS_RST_N_BOARD_INTERFACE Custom
    pcie_blk_locn PCIE4C_X1Y0
    select_quad GTY_Quad_227
    pl_link_cap_max_link_width X16
    pl_link_cap_max_link_speed 8.0_GT/s
    axi_data_width 512_bit
    axisten_freq 250
    xdma_axi_intf_mm AXI_Memory_Mapped
    xdma_pcie_64bit_en true
    axilite_master_en true
    axilite_master_size 64
    axilite_master_scale Kilobytes
    xdma_num_usr_irq 1
    cfg_mgmt_if false
}
add pcie_clock util_ds_buf {C_BUF_TYPE IBUFDSGTE}
create_bd_intf_port -mode Slave -vlnv xilinx.com:interface:diff_clock_rtl:1.0 pcie_refclk
set_property CONFIG.FREQ_HZ 100000000 [get_bd_intf_ports pcie_refclk]
connect_bd_intf_net [get_bd_intf_ports pcie_refclk] [get_bd_intf_pins pcie_clock/CLK_IN_D]
join_pins pcie_clock/IBUF_DS_ODIV2 xdma/sys_clk
join_pins pcie_clock/IBUF_OUT xdma/sys_clk_gt
create_bd_port -dir I -type rst pcie_perstn
set_property CONFIG.POLARITY ACTIVE_LOW [get_bd_ports pcie_perstn]
connect_bd_net [get_bd_ports pcie_perstn] [get_bd_pins xdma/sys_rst_n]
create_bd_intf_port -mode Master -vlnv xilinx.com:interface:pcie_7x_mgt_rtl:1.0 pcie_mgt
connect_bd_intf_net [get_bd_intf_ports pcie_mgt] [get_bd_intf_pins xdma/pcie_mgt]

# -- HBM: 16 GB in two stacks, of whose {{ hbm_ports }} ports the host has {{ host }} and the device {{ ports | join(", ") }} ----------------
set used [list {{ ([host] + ports) | join(" ") }}]
set settings {
    USER_HBM_DENSITY 16GB
    USER_HBM_STACK 2
    USER_APB_EN false
    USER_XSDB_INTF_EN false
    USER_AXI_CLK_FREQ 250
    USER_AXI_INPUT_CLK_FREQ 250
    USER_CLK_SEL_LIST0 AXI_{{ "%02d" | format(host) }}_ACLK
    USER_CLK_SEL_LIST1 AXI_{{ "%02d" | format(right) }}_ACLK
}
for {set port 0} {$port < {{ hbm_ports }}} {incr port} {
    lappend settings USER_SAXI_[format %02d $port] [expr {$port in $used ? "true" : "false"}]
}
add hbm hbm $settings
add hbm_clock util_ds_buf {C_BUF_TYPE IBUFDS}
create_bd_intf_port -mode Slave -vlnv xilinx.com:interface:diff_clock_rtl:1.0 hbm_refclk
set_property CONFIG.FREQ_HZ 100000000 [get_bd_intf_ports hbm_refclk]
connect_bd_intf_net [get_bd_intf_ports hbm_refclk] [get_bd_intf_pins hbm_clock/CLK_IN_D]
add hbm_reset proc_sys_reset {}
connect_bd_net [get_bd_ports pcie_perstn] [get_bd_pins hbm_reset/ext_reset_in]
join_pins hbm_clock/IBUF_OUT hbm_reset/slowest_sync_clk hbm/HBM_REF_CLK_0 hbm/HBM_REF_CLK_1 \
    hbm/APB_0_PCLK hbm/APB_1_PCLK
join_pins hbm_reset/peripheral_aresetn hbm/APB_0_PRESET_N hbm/APB_1_PRESET_N
foreach port $used {
    set number [format %02d $port]
    join_pins xdma/axi_aclk hbm/AXI_${number}_ACLK
    join_pins xdma/axi_aresetn hbm/AXI_${number}_ARESET_N
}
# the card wants to know when a stack is too hot
add too_hot util_vector_logic {C_OPERATION or C_SIZE 1}
join_pins hbm/DRAM_0_STAT_CATTRIP too_hot/Op1
join_pins hbm/DRAM_1_STAT_CATTRIP too_hot/Op2
create_bd_port -dir O hbm_cattrip
connect_bd_net [get_bd_pins too_hot/Res] [get_bd_ports hbm_cattrip]

# -- the device's clock and reset ----------------------------------------------------------------------------------------
add clock_wizard clk_wiz {
    PRIM_SOURCE No_buffer
    PRIM_IN_FREQ 250.000
    CLKOUT1_REQUESTED_OUT_FREQ {{ frequency }}
    USE_RESET true
    RESET_TYPE ACTIVE_LOW
    RESET_PORT resetn
    USE_LOCKED true
}
join_pins xdma/axi_aclk clock_wizard/clk_in1
join_pins xdma/axi_aresetn clock_wizard/resetn
add device_reset proc_sys_reset {}
join_pins clock_wizard/clk_out1 device_reset/slowest_sync_clk device/clock
join_pins clock_wizard/locked device_reset/dcm_locked
join_pins xdma/axi_aresetn device_reset/ext_reset_in
join_pins device_reset/peripheral_reset device/reset

# -- between the clocks: AXI, and the interrupt ----------------------------------------------------------------------------
# a SmartConnect from one interface to another; clock is that of one side, the other has PCIe's
proc bridge {name from to other_clock} {
    set clocks [expr {$other_clock eq "" ? 1 : 2}]
    add $name smartconnect [list NUM_SI 1 NUM_MI 1 NUM_CLKS $clocks]
    join_interfaces $from $name/S00_AXI
    join_interfaces $name/M00_AXI $to
    join_pins xdma/axi_aclk $name/aclk
    join_pins xdma/axi_aresetn $name/aresetn
    if {$clocks == 2} {
        join_pins $other_clock $name/aclk1
    }
}
bridge host_memory xdma/M_AXI hbm/SAXI_{{ "%02d" | format(host) }}_8HI ""
bridge host_control xdma/M_AXI_LITE device/control clock_wizard/clk_out1
{% for port in ports %}
bridge memory_{{ loop.index0 }} device/memory_m{{ loop.index0 }} hbm/SAXI_{{ "%02d" | format(port) }}_8HI clock_wizard/clk_out1
{% endfor %}
add interrupt_crossing xpm_cdc_gen {CDC_TYPE xpm_cdc_single}
join_pins clock_wizard/clk_out1 interrupt_crossing/src_clk
join_pins xdma/axi_aclk interrupt_crossing/dest_clk
join_pins device/interrupt interrupt_crossing/src_in
join_pins interrupt_crossing/dest_out xdma/usr_irq_req

# -- addresses -------------------------------------------------------------------------------------------------------------
# every manager sees all of HBM, at the same addresses: {{ channels }} pseudo channels one after the other
proc see_memory {space port} {
    for {set channel 0} {$channel < {{ channels }}} {incr channel} {
        set offset [format 0x%09X [expr {$channel * {{ channel_bytes }}}]]
        assign_bd_address -offset $offset -range {{ channel_bytes }} -target_address_space [get_bd_addr_spaces $space] \
            [get_bd_addr_segs hbm/SAXI_[format %02d $port]_8HI/HBM_MEM[format %02d $channel]]
    }
}
see_memory xdma/M_AXI {{ host }}
{% for port in ports %}
see_memory device/memory_m{{ loop.index0 }} {{ port }}
{% endfor %}
assign_bd_address -offset 0x0 -range 4K -target_address_space [get_bd_addr_spaces xdma/M_AXI_LITE] \
    [get_bd_addr_segs device/control/registers]

validate_bd_design
save_bd_design
set wrapper [make_wrapper -files [get_files fsa_u55c.bd] -top]
add_files -norecurse $wrapper
set_property top fsa_u55c_wrapper [current_fileset]
update_compile_order -fileset sources_1

if {[lindex $argv 0] eq "bitstream"} {
    launch_runs impl_1 -to_step write_bitstream -jobs 4
    wait_on_run impl_1
    if {[get_property PROGRESS [get_runs impl_1]] ne "100%"} {
        error "no bitstream: see the messages of the runs in fsa_u55c/fsa_u55c.runs"
    }
    open_run impl_1
    report_timing_summary -file fsa_u55c_timing.rpt
    report_utilization -file fsa_u55c_utilization.rpt
}
