//! What FFmpeg's options take, and which of them name files and addresses.

/// Options of the `ffmpeg` program that take no value: of FFmpeg 5 to 8 and of what came before. Whatever is not among
/// them takes one: an option of the program with a value, or an option of a codec, format or protocol, which always has
/// one.
const BARE: [&str; 21] = [
    "report",
    "vstats",
    // The following take a `no` before their names as well.
    "y",
    "n",
    "re",
    "an",
    "vn",
    "sn",
    "dn",
    "stats",
    "stdin",
    "shortest",
    "copyts",
    "copyinkf",
    "hide_banner",
    "bitexact",
    "xerror",
    "dump",
    "hex",
    "psnr",
    "qphist",
];
/// Further ones, all with a `no` before their names as well.
const FLAGS: [&str; 20] = [
    "accurate_seek",
    "auto_conversion_filters",
    "benchmark",
    "benchmark_all",
    "copy_unknown",
    "debug_ts",
    "deinterlace",
    "display_hflip",
    "display_vflip",
    "find_stream_info",
    "fix_sub_duration",
    "fix_sub_duration_heartbeat",
    "force_fps",
    "ignore_unknown",
    "intra",
    "print_graphs",
    "recast_media",
    "same_quant",
    "sameq",
    "start_at_zero",
];

/// Options that take a value up to FFmpeg 6 and none from FFmpeg 7 on.
const UNSETTLED: [&str; 2] = ["autorotate", "autoscale"];

/// What the value of an option is to FFmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A file, or an address, that is written.
    Writes,
    /// A file, or an address, that is read.
    Reads,
    /// A filter graph.
    Graph,
    /// It opens what this program cannot see.
    Opens,
    /// A text that FFmpeg opens nothing for, whatever stands in it.
    Text,
    /// The name of a format.
    Format,
    /// Anything else.
    Other,
}

/// Whether an option takes a value; its name comes without dash and without stream specifier.
pub fn takes_value(name: &str) -> bool {
    let is_flag = |name: &str| FLAGS.contains(&name) || BARE[2..].contains(&name);
    let is_turned_off = |name: &str| is_flag(name) || UNSETTLED.contains(&name);
    !(is_flag(name) || BARE[..2].contains(&name) || name.strip_prefix("no").is_some_and(is_turned_off))
}

/// Whether a word behind an option is its value to some versions of FFmpeg and an output of this name to others.
pub fn is_unsettled(name: &str) -> bool {
    UNSETTLED.contains(&name)
}

/// What an option's value means; its name comes without dash and without stream specifier.
pub fn meaning(name: &str) -> Meaning {
    match name {
        "hls_segment_filename"
        | "hls_fmp4_init_filename"
        | "hls_subtitle_path"
        | "hls_master_name"
        | "master_pl_name"
        | "segment_list"
        | "segment_header_filename"
        | "init_seg_name"
        | "media_seg_name"
        | "single_file_name"
        | "sdp_file"
        | "passlogfile"
        | "vstats_file"
        | "stats_enc_pre"
        | "stats_enc_post"
        | "stats_mux_pre"
        | "enc_stats_pre"
        | "enc_stats_post"
        | "mux_stats"
        | "print_graphs_file" => Meaning::Writes,
        "attach" | "hls_key_info_file" | "sub_name" | "fpre" | "ca_file" | "cafile" | "cert_file" | "cert"
        | "key_file" | "private_key" => Meaning::Reads,
        "filter" | "vf" | "af" | "filter_complex" | "lavfi" | "graph" => Meaning::Graph,
        "filter_complex_script"
        | "filter_script"
        | "graph_file"
        | "dump_attachment"
        | "protocol_whitelist"
        | "safe"
        | "allowed_extensions"
        | "allowed_segment_extensions"
        | "extension_picky"
        | "assetmaps"
        | "http_proxy"
        | "rtmp_swfverify"
        | "omx_libname"
        | "pre"
        | "vpre"
        | "apre"
        | "spre" => Meaning::Opens,
        "f" | "fifo_format" | "segment_format" | "format" => Meaning::Format,
        name if TEXTS.contains(&name) => Meaning::Text,
        _ => Meaning::Other,
    }
}

/// Options whose values go to somebody else as they are.
const TEXTS: [&str; 34] = [
    "metadata",
    "program",
    "headers",
    "user_agent",
    "referer",
    "cookies",
    "content_type",
    "username",
    "password",
    "passphrase",
    "streamid",
    "srt_streamid",
    "hls_base_url",
    "hls_enc_key_url",
    "segment_list_entry_prefix",
    "utc_timing_url",
    "ice_url",
    "ice_name",
    "ice_description",
    "ice_genre",
    "rtmp_app",
    "rtmp_conn",
    "rtmp_flashver",
    "rtmp_pageurl",
    "rtmp_playpath",
    "rtmp_subscribe",
    "rtmp_swfurl",
    "rtmp_tcurl",
    "srtp_in_params",
    "srtp_out_params",
    "service_name",
    "service_provider",
    "comment",
    "stream_name",
];
