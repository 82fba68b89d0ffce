# The commands of Vivado that a project's script uses, as records: a line each, a list. tclsh vivado.tcl SCRIPT PINS XDC
# PINS has a line for each kind of cell: its name in the catalog, patterns of its pins, patterns of its interfaces.
# What the script names and nobody made is an error, and so is a command that is not here.

lassign $argv script pins constraints
set argv bitstream
set file [open $pins]
foreach line [split [string trim [read $file]] \n] {
    lassign $line kind scalar interface
    set known($kind) [list $scalar $interface]
}
close $file

proc record {args} {puts $args}
proc option {arguments name} {
    set at [lsearch -exact $arguments $name]
    if {$at < 0} {error "no $name in: $arguments"}
    lindex $arguments [expr {$at + 1}]
}
proc made {what name} {
    global cells known
    lassign [split $name /] cell pin
    if {![info exists cells($cell)]} {error "no cell $cell: $name"}
    foreach pattern [lindex $known($cells($cell)) [expr {$what eq "interface"}]] {
        if {[string match $pattern $pin]} {return $name}
    }
    error "$cells($cell) has no $what $pin: $name"
}
proc found {what name} {
    if {![dict exists [set ::$what] $name]} {error "no such $what: $name"}
    return $name
}
set ports {}
set interface_ports {}

proc create_project {args} {record create_project [option $args -part]}
proc current_project {} {return project}
proc get_board_parts {args} {return [lindex $args end]}
proc update_ip_catalog {} {}
proc add_files {args} {record add_files [lindex $args end]}
proc create_bd_design {name} {record create_bd_design $name}
proc create_bd_cell {args} {
    set vlnv [split [option $args -vlnv] :]
    set ::cells([lindex $args end]) [lindex $vlnv 2]
    if {![info exists ::known([lindex $vlnv 2])]} {error "unknown IP: $vlnv"}
    record cell [lindex $args end] [join $vlnv :]
    return [lindex $args end]
}
proc create_bd_port {args} {dict set ::ports [lindex $args end] [option $args -dir]}
proc create_bd_intf_port {args} {dict set ::interface_ports [lindex $args end] [option $args -mode]}
proc get_bd_ports {name} {return port:[found ports $name]}
proc get_bd_intf_ports {name} {return port:[found interface_ports $name]}
proc get_bd_pins {name} {made pin $name}
proc get_bd_intf_pins {name} {made interface $name}
proc get_bd_addr_spaces {name} {made interface $name}
proc get_bd_addr_segs {name} {
    lassign [split $name /] cell interface segment
    made interface $cell/$interface
    return $name
}
proc connect_bd_net {one other} {record net $one $other}
proc connect_bd_intf_net {one other} {record interface $one $other}
proc assign_bd_address {args} {
    record address [option $args -offset] [option $args -range] [option $args -target_address_space] [lindex $args end]
}
proc set_property {args} {
    if {[lindex $args 0] eq "-dict"} {
        foreach {name value} [lindex $args 1] {record property [lindex $args end] $name $value}
    } else {
        record property [lindex $args end] {*}[lrange $args 0 1]
    }
}
proc validate_bd_design {} {record validated}
proc save_bd_design {} {}
proc get_files {name} {return $name}
proc make_wrapper {args} {return wrapper.v}
proc current_fileset {} {return sources_1}
proc update_compile_order {args} {}
proc launch_runs {args} {record launched [option $args -to_step]}
proc wait_on_run {run} {}
proc get_runs {run} {return $run}
proc get_property {name of} {return 100%}
proc open_run {run} {}
proc report_timing_summary {args} {}
proc report_utilization {args} {}

source $script

# constraints: an interface of the block design has its signals behind its name
proc current_design {} {return design}
proc get_ports {name} {
    if {[regexp {^(.*)_clk_[pn]\*$} $name -> interface]} {return [found interface_ports $interface]}
    found ports $name
}
proc create_clock {args} {record clock [option $args -name] [option $args -period] [lindex $args end]}
source $constraints
